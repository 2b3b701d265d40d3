//! `countersign click`.

use crate::support::countersign;

#[test]
fn a_minted_id_is_recognised_and_says_when() {
    let id = countersign(&["click", "mint", "--sandbox", "--at", "2026-01-02T03:04:05Z"]).stdout();
    let id = id.trim();
    assert_eq!(id.len(), 44);
    let said = countersign(&["click", "inspect", "--sandbox", id]).stdout();
    assert_eq!(said, format!("click id   {id}\nminted at  2026-01-02T03:04:05.000Z\nkey        sandbox\n"));
    // The sandbox's configuration has the same key.
    let said = countersign(&["click", "inspect", "--config", "examples/countersign.json", id]).stdout();
    assert!(said.contains("key        sandbox"), "{said}");
    let other = countersign(&["click", "mint", "--sandbox", "--at", "2026-01-02T03:04:05Z"]).stdout();
    assert_ne!(other.trim(), id);
}

#[test]
fn a_sealed_id_opens_to_a_plain_one() {
    let sealed =
        countersign(&["click", "mint", "--sandbox", "--sealed", "--at", "2026-01-02T03:04:05Z"]).stdout();
    let sealed = sealed.trim();
    assert_eq!(sealed.len(), 92);
    let said = countersign(&["click", "inspect", "--sandbox", sealed]).stdout();
    let id = said.lines().next().and_then(|line| line.strip_prefix("click id   ")).unwrap();
    assert_eq!(countersign(&["click", "inspect", "--sandbox", id]).stdout(), said);
    assert!(said.ends_with("minted at  2026-01-02T03:04:05.000Z\nkey        sandbox\n"), "{said}");
    let said = countersign(&["click", "inspect", "--key-env", "KEY", sealed]).env("KEY", "another key").run();
    assert!(said.code == 1 && said.stderr.contains("was not minted here"), "{said:?}");
}

#[test]
fn what_is_wrong_with_an_id_is_said() {
    let id = countersign(&["click", "mint", "--key-env", "KEY"]).env("KEY", "one key").stdout();
    let id = id.trim();
    for (id, expected) in [
        (id, "was not minted here"),
        (
            &id[..40],
            "cut off: ours have 44 characters; check the length of your column or field (this one has 40)",
        ),
        (&id.to_uppercase().replace("CLK_", "clk_"), "lower case"),
        ("{click_id}", "placeholder"),
        ("abc", "begin with clk_"),
    ] {
        let said = countersign(&["click", "inspect", "--sandbox", id]).run();
        assert_eq!(said.code, 1, "{id}: {said:?}");
        assert!(said.stderr.contains("click_id_invalid") && said.stderr.contains(expected), "{id}: {said:?}");
    }
    assert_eq!(countersign(&["click", "mint"]).run().code, 2);
}
