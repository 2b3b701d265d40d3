//! The names of events and identities, which inboxes keep for good.

use countersign_core::money::{Amount, Currency};
use countersign_core::names;

fn hex(name: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(name))
}

#[test]
fn names_are_those_that_inboxes_have_stored() {
    assert_eq!(hex(names::event("acme", "dep_1")), "0110e9017d2bd9c5d6611fa3e4cc9251");
    let registration = names::fallback("acme", "registration", "clk_1", None);
    assert_eq!(hex(registration), "6a311bee2893c6884f7a325797c2e238");
    let amount = Amount::parse("100.00", Currency::of("EUR").unwrap()).unwrap();
    let deposit = names::fallback("acme", "deposit_success", "clk_1", Some(&amount));
    assert_eq!(hex(deposit), "80119b5cdbe907d0a0d43a12e0cf42c5");
}

#[test]
fn what_is_not_the_same_money_has_another_name() {
    let name = |amount: &str, currency: &str| {
        let amount = Amount::parse(amount, Currency::of(currency).unwrap()).unwrap();
        names::fallback("acme", "deposit_success", "clk_1", Some(&amount))
    };
    assert_eq!(name("100", "EUR"), name("100.00", "EUR"));
    for other in [name("100.01", "EUR"), name("100", "USD"), name("10", "EUR"), name("10000", "JPY")] {
        assert_ne!(other, name("100", "EUR"));
    }
}
