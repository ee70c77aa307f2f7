#![expect(clippy::disallowed_methods, reason = "a test needs some instant")]

use proptest::prelude::*;

use super::*;

const MAC: LinkLayer = [0x02, 0, 0, 0, 0, 0x53];
const ROUTER_MAC: LinkLayer = [0x02, 0, 0, 0, 0, 0x01];
const SECOND: Duration = Duration::from_secs(1);
const INSTANT: Duration = Duration::from_nanos(1);

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn attached(now: Instant) -> Machine {
    let mut machine = Machine::new(7);
    machine.handle_attached(now, ip("fe80::53"), Some(MAC));
    machine.handle_session(now, true);
    machine
}

/// Runs to `until`, and tells when advertisements and solicitations were sent.
fn sent(machine: &mut Machine, until: Instant) -> (Vec<Instant>, Vec<Instant>) {
    let (mut advertised, mut solicited) = (Vec::new(), Vec::new());
    while let Some(due) = machine.poll_timeout().filter(|due| *due <= until) {
        machine.handle_timeout(due);
        while let Some(transmit) = machine.poll_transmit() {
            match transmit {
                Transmit::Advertisement(_) => advertised.push(due),
                Transmit::Solicitation(_) => solicited.push(due),
            }
        }
    }
    (advertised, solicited)
}

fn hear(machine: &mut Machine, now: Instant, router: &str, link_layer: LinkLayer) -> Heard {
    let packet = packet::advertisement(Some(link_layer));
    machine.handle_packet(now, ip(router), &packet)
}

fn addresses(machine: &Machine) -> Vec<Ipv6Addr> {
    let routers = machine.routers().iter();
    routers.map(|router| router.address).collect()
}

/// RFC 4861 §6.2.4: three soon, then at the interval, shortened by up to a quarter.
#[test]
fn an_interface_is_advertised_at_once_soon_and_then_at_the_interval() {
    let start = Instant::now();
    let mut machine = attached(start);
    let (advertised, _) = sent(&mut machine, start + 60 * SECOND);
    assert_eq!(
        advertised[..3],
        [start, start + 3 * SECOND, start + 6 * SECOND]
    );
    for pair in advertised[2..].windows(2) {
        let gap = pair[1] - pair[0];
        assert!((SECOND * 15 / 2..=10 * SECOND).contains(&gap), "{gap:?}");
    }
}

/// FRR talks to an unnumbered neighbour only after it was advertised; it does not solicit.
#[test]
fn a_router_without_a_session_hears_from_this_node_more_often_and_when_it_speaks() {
    let start = Instant::now();
    let mut machine = attached(start);
    let (advertised, _) = sent(&mut machine, start + 60 * SECOND);
    let last = *advertised.last().unwrap();
    let lost = last + 5 * SECOND;
    machine.handle_session(lost, false);
    let (advertised, _) = sent(&mut machine, lost + 30 * SECOND);
    assert_eq!(advertised[0], lost);
    for pair in advertised.windows(2) {
        let gap = pair[1] - pair[0];
        assert!((3 * SECOND..=4 * SECOND).contains(&gap), "{gap:?}");
    }
    let last = *advertised.last().unwrap();
    let spoke = last + SECOND;
    hear(&mut machine, spoke, "fe80::1", ROUTER_MAC);
    let (advertised, _) = sent(&mut machine, last + ADVERTISE_GAP);
    assert_eq!(advertised, [last + ADVERTISE_GAP]);
    // With a session it is not answered.
    machine.handle_session(spoke, true);
    let (advertised, _) = sent(&mut machine, spoke + 60 * SECOND);
    let quiet = *advertised.last().unwrap() + 4 * SECOND;
    hear(&mut machine, quiet, "fe80::1", ROUTER_MAC);
    assert_eq!(sent(&mut machine, quiet + SECOND).0, []);
}

#[test]
fn nothing_is_sent_before_the_interface_has_an_address_or_after_it_lost_it() {
    let start = Instant::now();
    let mut machine = Machine::new(7);
    assert_eq!(machine.poll_timeout(), None);
    machine.handle_timeout(start + 60 * SECOND);
    assert_eq!(machine.poll_transmit(), None);
    machine.handle_attached(start, ip("fe80::53"), None);
    machine.handle_timeout(start);
    machine.handle_detached();
    assert_eq!(machine.poll_transmit(), None);
    assert_eq!(machine.poll_timeout(), None);
}

#[test]
fn a_link_that_comes_back_is_advertised_at_once() {
    let start = Instant::now();
    let mut machine = attached(start);
    sent(&mut machine, start);
    machine.handle_detached();
    let back = start + Duration::from_millis(20);
    machine.handle_attached(back, ip("fe80::53"), Some(MAC));
    assert_eq!(sent(&mut machine, back), (vec![back], vec![back]));
}

/// RFC 4861 §6.2.6: within half a second, at least 3 s after the last advertisement.
#[test]
fn a_solicitation_is_answered_soon_and_a_flood_of_them_once_in_three_seconds() {
    let start = Instant::now();
    let mut machine = attached(start);
    let (advertised, _) = sent(&mut machine, start + 60 * SECOND);
    let last = *advertised.last().unwrap();
    // Past the gap.
    let asked = last + 5 * SECOND;
    let packet = packet::solicitation(None);
    let heard = machine.handle_packet(asked, ip("fe80::1"), &packet);
    assert_eq!(heard, Heard::Solicitation);
    let (advertised, _) = sent(&mut machine, asked + ANSWER_DELAY_MAX);
    assert_eq!(advertised.len(), 1);
    let answered = advertised[0];
    // Within it.
    for _ in 0..1000 {
        machine.handle_packet(answered + SECOND, ip("fe80::1"), &packet);
    }
    let (advertised, _) = sent(&mut machine, answered + 5 * SECOND);
    assert_eq!(advertised, [answered + ADVERTISE_GAP]);
}

/// RFC 4861 §6.3.7.
#[test]
fn routers_are_asked_for_until_one_was_heard() {
    let start = Instant::now();
    let mut machine = attached(start);
    let (_, solicited) = sent(&mut machine, start + 30 * SECOND);
    assert_eq!(
        solicited[..3],
        [start, start + 4 * SECOND, start + 8 * SECOND]
    );
    assert!(solicited.len() >= 5);
    hear(&mut machine, start + 30 * SECOND, "fe80::1", ROUTER_MAC);
    let (_, solicited) = sent(&mut machine, start + 90 * SECOND);
    assert_eq!(solicited, []);
}

#[test]
fn a_new_router_is_a_change_and_one_that_repeats_itself_is_none() {
    let start = Instant::now();
    let mut machine = attached(start);
    assert!(!machine.poll_change());
    hear(&mut machine, start, "fe80::1", ROUTER_MAC);
    assert!(machine.poll_change());
    hear(&mut machine, start + SECOND, "fe80::1", ROUTER_MAC);
    assert!(!machine.poll_change());
    assert_eq!(machine.routers()[0].heard, (start, start + SECOND));
    machine.handle_detached();
    assert!(machine.poll_change());
    assert_eq!(machine.routers(), []);
}

#[test]
fn the_own_voice_is_not_heard() {
    let start = Instant::now();
    let mut machine = attached(start);
    let heard = hear(&mut machine, start, "fe80::53", MAC);
    assert_eq!(heard, Heard::Nothing);
    assert_eq!(machine.routers(), []);
}

/// Somebody who forges advertisements can neither fill memory nor drive out a living router.
#[test]
fn a_fifth_router_takes_the_place_of_a_silent_one_only() {
    let start = Instant::now();
    let mut machine = attached(start);
    for last in 1..=4 {
        let heard = hear(&mut machine, start, &format!("fe80::{last}"), ROUTER_MAC);
        assert_eq!(heard, Heard::Advertisement);
    }
    hear(&mut machine, start + SECOND, "fe80::1", ROUTER_MAC);
    let late = start + SILENCE;
    assert_eq!(
        hear(&mut machine, late, "fe80::5", ROUTER_MAC),
        Heard::Surplus
    );
    let later = late + INSTANT;
    assert_eq!(
        hear(&mut machine, later, "fe80::5", ROUTER_MAC),
        Heard::Advertisement
    );
    assert_eq!(
        addresses(&machine),
        ["fe80::1", "fe80::3", "fe80::4", "fe80::5"].map(ip)
    );
}

fn router(address: &str, mac: u8, first: Instant, last: Instant) -> Router {
    Router {
        address: ip(address),
        link_layer: Some([mac; 6]),
        heard: (first, last),
    }
}

fn choice(router: Option<&str>, others: &[&str]) -> Choice {
    Choice {
        router: router.map(ip),
        others: others.iter().map(|other| ip(other)).collect(),
    }
}

#[test]
fn the_first_of_two_routers_is_kept_and_the_other_told() {
    let start = Instant::now();
    let now = start + 10 * SECOND;
    let routers = [
        router("fe80::1", 1, start, now),
        router("fe80::2", 2, start + SECOND, now),
    ];
    let first = choice(Some("fe80::1"), &["fe80::2"]);
    assert_eq!(choose(&routers, None, false, now), first);
    assert_eq!(choose(&routers, Some(ip("fe80::1")), false, now), first);
    // Whoever is talked to is the first.
    let other = choice(Some("fe80::2"), &["fe80::1"]);
    assert_eq!(choose(&routers, Some(ip("fe80::2")), true, now), other);
}

#[test]
fn a_silent_router_gives_way_to_one_that_speaks_unless_its_session_is_up() {
    let start = Instant::now();
    let first = Some(ip("fe80::1"));
    let at = |after: Duration| {
        let now = start + after;
        let routers = [
            router("fe80::1", 1, start, start),
            router("fe80::2", 2, start + SECOND, now),
        ];
        [false, true].map(|is_up| choose(&routers, first, is_up, now).router)
    };
    assert_eq!(at(SILENCE - INSTANT), [first, first]);
    assert_eq!(at(SILENCE), [first, first]);
    assert_eq!(at(SILENCE + INSTANT), [Some(ip("fe80::2")), first]);
}

#[test]
fn a_router_that_changed_its_address_is_followed_at_once() {
    let start = Instant::now();
    let first = Some(ip("fe80::1"));
    let now = start + 2 * SECOND;
    let old = router("fe80::1", 1, start, start + SECOND);
    let new = router("fe80::2", 1, now, now);
    let followed = choice(Some("fe80::2"), &[]);
    assert_eq!(choose(&[old, new], first, true, now), followed);
    // It speaks under both: nothing was changed.
    let both = [router("fe80::1", 1, start, now + SECOND), new];
    let kept = choice(Some("fe80::1"), &["fe80::2"]);
    assert_eq!(choose(&both, first, true, now + SECOND), kept);
}

#[test]
fn a_router_that_is_talked_to_needs_no_advertisement() {
    let now = Instant::now();
    let current = Some(ip("fe80::1"));
    for is_up in [false, true] {
        assert_eq!(
            choose(&[], current, is_up, now),
            choice(Some("fe80::1"), &[])
        );
    }
    let other = [router("fe80::2", 2, now, now)];
    assert_eq!(
        choose(&other, current, true, now),
        choice(Some("fe80::1"), &["fe80::2"])
    );
    assert_eq!(
        choose(&other, current, false, now),
        choice(Some("fe80::2"), &[])
    );
}

#[test]
fn a_router_that_speaks_seldom_is_still_the_router() {
    let start = Instant::now();
    let routers = [router("fe80::1", 1, start, start)];
    let now = start + 600 * SECOND;
    let only = choice(Some("fe80::1"), &[]);
    assert_eq!(choose(&routers, None, false, now), only);
    assert_eq!(choose(&[], None, false, now), choice(None, &[]));
}

proptest! {
    #[test]
    fn whatever_comes_in_memory_is_bounded_and_advertisements_keep_their_gap(
        seed in any::<u64>(),
        steps in prop::collection::vec((0_u64..4000, 0_u8..6, 0_u16..8), 0..200),
    ) {
        let mut now = Instant::now();
        let mut machine = Machine::new(seed);
        let mut is_attached = false;
        let mut last: Option<Instant> = None;
        for (wait_ms, event, whom) in steps {
            now += Duration::from_millis(wait_ms);
            let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, whom + 1);
            match event {
                0 => {
                    machine.handle_attached(now, ip("fe80::53"), Some(MAC));
                    (is_attached, last) = (true, None);
                }
                1 => {
                    machine.handle_detached();
                    is_attached = false;
                }
                2 => {
                    machine.handle_packet(now, source, &packet::solicitation(None));
                }
                3 => machine.handle_session(now, whom % 2 == 0),
                _ => {
                    machine.handle_packet(now, source, &packet::advertisement(Some(MAC)));
                }
            }
            machine.handle_timeout(now);
            while let Some(transmit) = machine.poll_transmit() {
                prop_assert!(is_attached);
                if let Transmit::Advertisement(_) = transmit {
                    prop_assert!(last.is_none_or(|last| now - last >= ADVERTISE_GAP));
                    last = Some(now);
                }
            }
            prop_assert!(machine.routers().len() <= ROUTERS_MAX);
            prop_assert_eq!(machine.poll_timeout().is_some(), is_attached);
            prop_assert!(machine.poll_timeout().is_none_or(|due| due > now));
        }
    }
}
