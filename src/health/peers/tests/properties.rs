use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Input {
    Wait(u64),
    Ask,
    Answer(usize, PeerWord),
    Unsent(usize),
    Timeout,
}

fn word() -> impl Strategy<Value = PeerWord> {
    (
        any::<Option<bool>>(),
        any::<Option<bool>>(),
        any::<Option<bool>>(),
        proptest::option::of(0..4_u32),
    )
        .prop_map(|(able, hears_us, preferred, node)| PeerWord {
            able,
            hears_us,
            preferred,
            lowered: None,
            node,
        })
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        3 => (0..700_u64).prop_map(Input::Wait),
        1 => (0..20_000_u64).prop_map(Input::Wait),
        4 => Just(Input::Ask),
        4 => (0..8_usize, word()).prop_map(|(of, word)| Input::Answer(of, word)),
        1 => (0..8_usize).prop_map(Input::Unsent),
        6 => Just(Input::Timeout),
    ]
}

proptest! {
    #[test]
    fn no_turn_of_events_breaks_the_counts(
        inputs in proptest::collection::vec(input(), 1..300),
        siblings in 0..24_u8,
    ) {
        let siblings: Vec<_> = (2..2 + siblings)
            .map(|n| SocketAddr::from(([10, 0, 0, n], 53)))
            .collect();
        let mut now = Instant::now();
        let own = [IpAddr::from([10, 0, 0, 1])];
        let mut peers = Peers::new(&siblings, &own, ME, 7, now);
        let mut questions: Vec<PeerQuestion> = Vec::new();
        for input in inputs {
            match input {
                Input::Wait(wait_ms) => now += ms(wait_ms),
                Input::Ask => questions.extend(peers.poll_transmit()),
                // Old ones, twice, and in any order.
                Input::Answer(of, word) => {
                    if let Some(question) = questions.iter().rev().nth(of) {
                        peers.handle_answer(now, *question, word);
                    }
                }
                Input::Unsent(of) => {
                    if let Some(question) = questions.iter().rev().nth(of) {
                        peers.handle_unsent(now, *question);
                    }
                }
                Input::Timeout => {
                    peers.handle_timeout(now);
                    let due = peers.poll_timeout();
                    prop_assert_eq!(due.is_none(), siblings.is_empty());
                    prop_assert!(due.is_none_or(|due| now < due && due <= now + ms(1_101)));
                }
            }
            let view = peers.view();
            prop_assert!(usize::from(view.known) <= siblings.len());
            prop_assert!(view.reached <= view.known);
            prop_assert!(view.able <= view.reached && view.blind <= view.reached);
            for state in peers.states() {
                prop_assert!(state.answers <= state.questions);
                prop_assert!(state.is_reached || (state.able, state.hears_us) == (None, None));
                prop_assert!(!state.is_reached || state.heard == Some(true));
            }
            let mut events = 0;
            while peers.poll_event().is_some() {
                events += 1;
                prop_assert!(events <= ASKED_MAX + 1);
            }
        }
    }
}
