use super::*;
use Step::{Announced, Binding, Bound, Ready, Released, Unbinding, Unbound};

const UP: Step = Announced(Level::Preferred);
const LOW: Step = Announced(Level::Backup);
const BIND: Option<Order> = Some(Order::Bind);
const UNBIND: Option<Order> = Some(Order::Unbind);

const STEPS: [Step; 8] = [Unbound, Binding, Bound, Ready, LOW, UP, Unbinding, Released];

/// Each input with the next step of each of [`STEPS`], for an address that the node binds.
const TABLE: [(Input, [Step; 8]); 9] = [
    (
        Input::Begin,
        [Binding, Binding, Bound, Ready, LOW, UP, Unbinding, Released],
    ),
    (
        Input::Present,
        [Bound, Bound, Bound, Ready, LOW, UP, Unbinding, Released],
    ),
    (
        Input::Absent,
        [
            Unbound, Binding, Unbound, Unbound, Unbound, Unbound, Released, Released,
        ],
    ),
    (
        Input::BindFailed,
        [Unbound, Unbound, Bound, Ready, LOW, UP, Unbinding, Released],
    ),
    (
        Input::Allow(None),
        [
            Unbound, Binding, Bound, Bound, Bound, Bound, Unbinding, Released,
        ],
    ),
    (
        Input::Allow(Some(Level::Withdrawn)),
        [
            Unbound, Binding, Ready, Ready, Ready, Ready, Unbinding, Released,
        ],
    ),
    (
        Input::Allow(Some(Level::Backup)),
        [Unbound, Binding, LOW, LOW, LOW, LOW, Unbinding, Released],
    ),
    (
        Input::Allow(Some(Level::Preferred)),
        [Unbound, Binding, UP, UP, UP, UP, Unbinding, Released],
    ),
    (
        Input::Release,
        [
            Released, Unbinding, Unbinding, Unbinding, LOW, UP, Unbinding, Released,
        ],
    ),
];

#[test]
fn the_transition_table_holds_for_an_address_that_the_node_binds() {
    for (input, row) in TABLE {
        for (step, expected) in STEPS.into_iter().zip(row) {
            let order = match (step, input) {
                (Unbound, Input::Begin) => BIND,
                (Binding | Bound | Ready, Input::Release) => UNBIND,
                _ => None,
            };
            assert_eq!(
                step.next(input, true),
                (expected, order),
                "{step:?} and {input:?}"
            );
        }
    }
}

#[test]
fn the_table_is_the_same_for_a_foreign_address_but_for_binding_and_unbinding() {
    for (input, row) in TABLE {
        for (step, expected) in STEPS.into_iter().zip(row) {
            let expected = match (step, input) {
                (Unbound, Input::Begin) => Unbound,
                (Binding | Bound | Ready, Input::Release) => Released,
                _ => expected,
            };
            assert_eq!(
                step.next(input, false),
                (expected, None),
                "{step:?} and {input:?}"
            );
        }
    }
}
