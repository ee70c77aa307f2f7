#![expect(
    clippy::disallowed_methods,
    reason = "simulated time needs a starting point"
)]

use super::*;

mod pair;
mod properties;

const ME: u32 = 1;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// How an address behaves.
#[derive(Clone, Copy, Debug)]
struct Manner {
    /// `None`: it is silent.
    takes: Option<Duration>,
    word: PeerWord,
}

fn says(node: u32, able: Option<bool>, hears_us: Option<bool>) -> Manner {
    let node = Some(node);
    Manner {
        takes: Some(ms(10)),
        word: PeerWord {
            able,
            hears_us,
            preferred: None,
            lowered: None,
            node,
        },
    }
}

fn silent() -> Manner {
    Manner {
        takes: None,
        word: PeerWord::default(),
    }
}

/// Siblings 10.0.0.2 and so on of this node, 10.0.0.1.
struct World {
    peers: Peers,
    manners: Vec<Manner>,
    start: Instant,
    now: Instant,
    answers: Vec<(Instant, PeerQuestion, PeerWord)>,
    asked: Vec<(u64, usize)>,
}

impl World {
    fn new(manners: &[Manner]) -> Self {
        let siblings: Vec<_> = (2_u8..)
            .take(manners.len())
            .map(|n| SocketAddr::from(([10, 0, 0, n], 53)))
            .collect();
        let start = Instant::now();
        let own = [IpAddr::from([10, 0, 0, 1])];
        Self {
            peers: Peers::new(&siblings, &own, ME, 7, start),
            manners: manners.to_vec(),
            start,
            now: start,
            answers: Vec::new(),
            asked: Vec::new(),
        }
    }

    fn at(&self, at_ms: u64) -> Instant {
        self.start + ms(at_ms)
    }

    /// What happens until then and at that moment.
    fn run_to(&mut self, to_ms: u64) {
        let end = self.at(to_ms);
        loop {
            self.peers.handle_timeout(self.now);
            while let Some(question) = self.peers.poll_transmit() {
                let sent_ms = self.now.duration_since(self.start).as_millis();
                self.asked
                    .push((sent_ms.try_into().unwrap(), question.index));
                let manner = self.manners[question.index];
                let at = manner.takes.map(|takes| self.now + takes);
                self.answers
                    .extend(at.map(|at| (at, question, manner.word)));
            }
            let due = self.peers.poll_timeout().unwrap().max(self.now);
            let next = self.answers.iter().map(|(at, ..)| *at).min();
            let next = next.map_or(due, |next| next.min(due));
            if next > end {
                self.now = end;
                self.peers.handle_timeout(end);
                return;
            }
            self.now = next;
            self.hear();
        }
    }

    fn run_for(&mut self, for_ms: u64) {
        let now_ms = self.now.duration_since(self.start).as_millis();
        self.run_to(u64::try_from(now_ms).unwrap() + for_ms);
    }

    fn hear(&mut self) {
        let now = self.now;
        let (heard, later) = self.answers.drain(..).partition(|(at, ..)| *at <= now);
        self.answers = later;
        let heard: Vec<(Instant, PeerQuestion, PeerWord)> = heard;
        for (_, question, word) in heard {
            self.peers.handle_answer(now, question, word);
        }
    }

    /// The process stands still until then; answers wait for it.
    fn sleep_to(&mut self, to_ms: u64) {
        self.now = self.at(to_ms);
        self.hear();
    }

    fn view(&self) -> [u16; 4] {
        let view = self.peers.view();
        [view.known, view.reached, view.able, view.blind]
    }

    fn state(&self, index: usize) -> PeerState {
        self.peers.states().nth(index).unwrap()
    }

    fn heard(&self) -> Vec<Option<bool>> {
        self.peers.states().map(|state| state.heard).collect()
    }
}

#[test]
fn each_sibling_is_asked_at_once_and_then_once_a_second() {
    let mut world = World::new(&[says(2, None, None), silent()]);
    world.run_to(60_000);
    for index in 0..2 {
        let times = world.asked.iter().filter(|(_, of)| *of == index);
        let times: Vec<_> = times.map(|(at, _)| *at).collect();
        assert_eq!(times[0], 0);
        assert!((55..=66).contains(&times.len()), "{times:?}");
        for pair in times.windows(2) {
            assert!((899..=1101).contains(&(pair[1] - pair[0])), "{times:?}");
        }
    }
    let firsts: Vec<_> = world.asked.iter().skip(2).take(2).collect();
    assert_ne!(firsts[0].0, firsts[1].0, "chance");
}

#[test]
fn what_siblings_say_is_counted_by_nodes() {
    let mut world = World::new(&[
        says(2, Some(true), Some(true)),
        says(3, Some(false), Some(true)),
        says(4, None, None),
        silent(),
    ]);
    assert_eq!(world.view(), [4, 0, 0, 0]);
    world.run_to(100);
    assert_eq!(world.view(), [4, 3, 1, 0]);
    let first = world.state(0);
    assert_eq!((first.node, first.able), (Some(2), Some(true)));
    assert_eq!(first.rtt, Some(ms(10)));
    assert_eq!((first.questions, first.answers), (1, 1));
    assert!(world.state(2).is_reached);
    assert_eq!(world.state(2).able, None);
}

#[test]
fn two_addresses_of_one_node_are_one_and_the_own_ones_are_none() {
    let mut world = World::new(&[
        says(2, Some(true), Some(true)),
        silent(),
        says(2, Some(false), Some(false)),
        says(ME, Some(true), Some(false)),
    ]);
    world.run_to(10_000);
    // The silent address has said to whom it belongs never.
    assert_eq!(world.view(), [2, 1, 1, 0]);
    world.manners[1] = says(2, None, None);
    world.run_to(20_000);
    assert_eq!(world.view(), [1, 1, 1, 0]);
    // It is still that node's when it falls silent.
    world.manners[1] = silent();
    world.run_to(30_000);
    assert_eq!(world.view(), [1, 1, 1, 0]);
}

/// Words of another version show that somebody answers, and no more.
#[test]
fn who_says_nothing_that_is_understood_is_reached() {
    let unknown = Manner {
        word: PeerWord::default(),
        ..says(0, None, None)
    };
    let mut world = World::new(&[unknown, unknown]);
    world.run_to(5_000);
    assert_eq!(world.view(), [2, 2, 0, 0]);
}

#[test]
fn a_sibling_is_reached_for_three_seconds_after_its_answer() {
    let mut world = World::new(&[says(2, Some(true), None)]);
    world.run_to(20);
    world.manners[0] = silent();
    world.run_to(3_009);
    assert_eq!(world.view(), [1, 1, 1, 0]);
    world.run_to(3_010);
    assert_eq!(world.view(), [1, 0, 0, 0]);
    assert_eq!(world.state(0).able, None);
    assert_eq!(world.state(0).since, world.at(3_010));
    world.manners[0] = says(2, Some(true), None);
    world.run_to(4_500);
    assert_eq!(world.view(), [1, 1, 1, 0]);
}

#[test]
fn an_answer_counts_within_half_a_second() {
    for (takes_ms, counts) in [(499, true), (500, false), (501, false)] {
        let slow = Manner {
            takes: Some(ms(takes_ms)),
            ..says(2, Some(true), None)
        };
        let mut world = World::new(&[slow]);
        world.run_to(5_000);
        assert_eq!(world.state(0).is_reached, counts, "{takes_ms}");
        assert_eq!(world.state(0).answers > 0, counts);
    }
}

#[test]
fn siblings_count_as_lowered_only_while_they_say_that_they_are_not_preferred() {
    let word = |node, preferred| {
        let mut manner = says(node, Some(true), None);
        manner.word.preferred = preferred;
        manner
    };
    let mut world = World::new(&[
        word(2, Some(false)),
        // Another address of the same node.
        word(2, Some(false)),
        word(3, Some(true)),
        word(4, None),
    ]);
    assert_eq!(world.peers.view().lowered, 0);
    world.run_to(100);
    assert_eq!(world.peers.view().lowered, 1);
    world.manners[2] = word(3, Some(false));
    world.run_to(2_000);
    assert_eq!(world.peers.view().lowered, 2);
    world.manners[0] = word(2, Some(true));
    world.manners[1] = silent();
    world.manners[2] = silent();
    world.run_to(6_000);
    assert_eq!(world.peers.view().lowered, 0);
}

#[test]
fn a_sibling_is_told_that_it_is_silent_after_three_questions_and_not_sooner() {
    let mut world = World::new(&[silent()]);
    assert_eq!(world.heard(), [None]);
    let mut before = vec![None];
    while world.heard() == [None] {
        before = world.heard();
        let due = world.peers.poll_timeout().unwrap() - world.start;
        world.run_to(u64::try_from(due.as_millis()).unwrap() + 1);
    }
    assert_eq!((before, world.heard()), (vec![None], vec![Some(false)]));
    assert_eq!(world.state(0).questions, 3);
    world.manners[0] = says(2, None, None);
    world.run_to(5_000);
    assert_eq!(world.heard(), [Some(true)]);
    // It is told so for as long as it is reached, whatever is lost.
    world.manners[0] = silent();
    world.run_to(6_000);
    assert_eq!(world.heard(), [Some(true)]);
    world.run_to(10_000);
    assert_eq!(world.heard(), [Some(false)]);
}

/// A node that comes back from the dead is told so by all others at first.
#[test]
fn four_answers_in_a_row_make_a_sibling_blind() {
    for (deaf, blind) in [(3, 0), (4, 1)] {
        for last in [Some(true), None] {
            let mut world = World::new(&[says(2, None, Some(false))]);
            while world.state(0).answers < deaf {
                world.run_for(50);
            }
            assert_eq!(world.view(), [1, 1, 0, blind], "{deaf}");
            world.manners[0] = says(2, None, last);
            world.run_for(1_200);
            assert_eq!(world.view(), [1, 1, 0, 0]);
        }
    }
}

#[test]
fn a_blind_sibling_that_is_no_longer_reached_is_no_longer_believed() {
    let mut world = World::new(&[says(2, None, Some(false))]);
    world.run_to(6_000);
    assert_eq!(world.view(), [1, 1, 0, 1]);
    world.manners[0] = silent();
    world.run_to(10_000);
    assert_eq!(world.view(), [1, 0, 0, 0]);
    world.manners[0] = says(2, None, Some(false));
    world.run_to(12_000);
    assert_eq!(world.view(), [1, 1, 0, 0]);
}

#[test]
fn a_question_that_was_not_sent_is_held_against_nobody() {
    let mut world = World::new(&[silent()]);
    for turn in 0..10 {
        world.now = world.peers.poll_timeout().unwrap();
        world.peers.handle_timeout(world.now);
        let question = world.peers.poll_transmit().unwrap();
        world.peers.handle_unsent(world.now, question);
        assert_eq!(world.heard(), [None], "{turn}");
        // The same again does nothing.
        world.peers.handle_unsent(world.now, question);
        let word = PeerWord::default();
        world.peers.handle_answer(world.now, question, word);
        assert!(!world.state(0).is_reached);
    }
}

/// A process that was stopped for a minute has missed questions and answers for a reason of its own.
#[test]
fn after_a_pause_nobody_is_called_anything_before_all_were_asked_again() {
    let mut world = World::new(&[says(2, Some(true), Some(false)), silent()]);
    world.run_to(6_000);
    assert_eq!(world.view(), [2, 1, 1, 1]);
    assert_eq!(world.heard(), [Some(true), Some(false)]);
    let asked = world.asked.len();
    world.sleep_to(66_000);
    world.peers.handle_timeout(world.now);
    assert_eq!(world.view(), [2, 1, 1, 0]);
    assert_eq!(world.heard(), [Some(true), None]);
    assert_eq!(world.state(0).since, world.at(10));
    // All are asked at once.
    world.run_to(66_000);
    assert_eq!(world.asked.len(), asked + 2);
    world.run_to(68_000);
    assert_eq!(world.view(), [2, 1, 1, 0]);
    world.run_to(72_000);
    assert_eq!(world.view(), [2, 1, 1, 1]);
    assert_eq!(world.heard(), [Some(true), Some(false)]);
    // Who has gone meanwhile is found out as soon as ever.
    world.manners[0] = silent();
    world.sleep_to(132_000);
    world.run_to(134_900);
    assert_eq!(world.view(), [2, 1, 1, 0]);
    world.run_to(135_000);
    assert_eq!(world.view(), [2, 0, 0, 0]);
}

#[test]
fn changes_are_told_once() {
    let mut world = World::new(&[says(2, Some(true), None)]);
    let first = world.peers.poll_event();
    assert_eq!(first, Some(PeerEvent::View(world.peers.view())));
    assert_eq!(world.peers.poll_event(), None);
    let address = world.state(0).address;
    for is_reached in [true, false] {
        world.run_to(if is_reached { 2_000 } else { 10_000 });
        let reached = PeerEvent::Reached {
            address,
            is_reached,
        };
        assert_eq!(world.peers.poll_event(), Some(reached));
        let view = PeerEvent::View(world.peers.view());
        assert_eq!(world.peers.poll_event(), Some(view));
        assert_eq!(world.peers.poll_event(), None);
        world.manners[0] = silent();
    }
}

#[test]
fn who_is_not_asked_is_known_all_the_same() {
    let world = World::new(&[silent(); 40]);
    assert_eq!(world.view(), [40, 0, 0, 0]);
    assert_eq!(world.peers.states().count(), ASKED_MAX);
}

#[test]
fn without_siblings_there_is_nothing_to_wait_for() {
    let mut peers = Peers::new(&[], &[], ME, 7, Instant::now());
    assert_eq!(peers.poll_timeout(), None);
    peers.handle_timeout(Instant::now() + ms(100_000));
    assert_eq!(peers.poll_transmit(), None);
    assert_eq!(peers.view(), PeersView::default());
}
