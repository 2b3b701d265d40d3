//! What becomes of a verified event.

use crate::sender::deposit;
use crate::world::{World, accepted};

#[test]
fn an_event_is_handed_on_once_and_answered_with_one_receipt() {
    let world = World::start();
    let event = deposit("evt_1");
    let receipt = accepted(&world.send(&event), false);
    assert_eq!(accepted(&world.send(&event), true), receipt);
    world.saw(&["evt_1"]);
}
