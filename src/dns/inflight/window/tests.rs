#![expect(
    clippy::disallowed_methods,
    reason = "simulated time needs a starting point"
)]

use super::*;

/// As wide as windows begin here.
const START: u32 = 128;
const MS: Duration = Duration::from_millis(1);

/// Sends one batch at the pace of one question each ms, all after `now`; `fate` of each by its number,
/// with its hashes of prefix and domain. Returns the time when all is known.
fn batch(
    window: &mut Window,
    now: Instant,
    count: u32,
    fate: impl Fn(u32) -> (Fate, u64, u64),
) -> Instant {
    let mut now = now + PAUSE;
    let mut tickets = Vec::new();
    // As many as make it nearly full stay in it beside those that are judged.
    let others = window.size().saturating_sub(count.min(window.size() / 4));
    let strangers: Vec<_> = (0..others)
        .map(|_| {
            window.inside += 1;
            Ticket {
                batch: 0,
                prefix: 0,
                domain: 0,
            }
        })
        .collect();
    for number in 0..count {
        now += MS;
        let (fate, prefix, domain) = fate(number);
        tickets.push((window.enter(|| (prefix << 60, domain << 60), now), fate));
    }
    now += BATCH_TIME_MAX;
    tickets.push((window.enter(|| (0, 0), now), Fate::Unknown));
    for (ticket, fate) in tickets {
        window.leave(ticket, fate, now);
    }
    for ticket in strangers {
        window.leave(ticket, Fate::Unknown, now);
    }
    assert_eq!(window.inside, 0);
    now
}

/// Every question of a prefix and a domain of its own.
fn spread(lost: impl Fn(u32) -> bool) -> impl Fn(u32) -> (Fate, u64, u64) {
    move |number| {
        let fate = if lost(number) {
            Fate::Lost
        } else {
            Fate::Answered
        };
        (fate, u64::from(number % 16), u64::from(number % 13))
    }
}

#[test]
fn a_window_begins_wide_and_never_leaves_its_bounds() {
    let start = Instant::now();
    let mut window = Window::new(128, 200, start);
    assert_eq!(window.size(), START);
    let mut now = start;
    for _ in 0..10 {
        now = batch(&mut window, now, 160, spread(|_| false));
    }
    assert_eq!(window.size(), 200);
    for _ in 0..20 {
        now = batch(&mut window, now, 160, spread(|_| true));
    }
    assert_eq!(window.size(), MIN);
    for _ in 0..60 {
        now = batch(&mut window, now, 160, spread(|_| false));
    }
    assert_eq!(window.size(), 200);
    assert_eq!(Window::new(128, 1, start).size(), MIN);
}

#[test]
fn an_eighth_lost_narrows_nothing_and_more_does() {
    let start = Instant::now();
    let mut window = Window::new(128, 4096, start);
    batch(&mut window, start, 160, spread(|number| number % 8 == 0));
    assert_eq!(window.size(), START + START / 2);
    let mut window = Window::new(128, 4096, start);
    batch(
        &mut window,
        start,
        160,
        spread(|number| number % 8 == 0 || number == 1),
    );
    assert!(window.size() < START && window.size() >= START * 3 / 4);
}

#[test]
fn the_window_narrows_to_what_was_answered_but_not_below_a_quarter_at_a_time() {
    let start = Instant::now();
    let mut window = Window::new(128, 4096, start);
    let now = batch(&mut window, start, 160, spread(|number| number % 2 == 0));
    assert_eq!(window.size(), START * 9 / 16);
    let before = window.size();
    batch(&mut window, now, 160, spread(|_| true));
    assert_eq!(window.size(), before / 4);
}

#[test]
fn losses_while_there_was_room_are_no_congestion() {
    let start = Instant::now();
    let mut window = Window::new(128, 4096, start);
    let mut now = start;
    for number in 0..1000 {
        now += MS * 3;
        let ticket = window.enter(|| (number << 60, number << 60), now);
        window.leave(ticket, Fate::Lost, now);
    }
    assert_eq!(window.size(), START);
}

/// The names of one client, or below one domain, may be names that nobody answers.
#[test]
fn losses_of_one_prefix_or_about_one_domain_are_no_congestion() {
    let start = Instant::now();
    let ours = |number: u32| !number.is_multiple_of(4);
    let others = |number: u32| u64::from(number / 4 % 12) + 1;
    let fate = |number: u32| {
        if ours(number) {
            Fate::Lost
        } else {
            Fate::Answered
        }
    };
    let mut window = Window::new(128, 4096, start);
    batch(&mut window, start, 160, |number| {
        let prefix = if ours(number) { 0 } else { others(number) };
        (fate(number), prefix, u64::from(number % 16))
    });
    assert_eq!(window.size(), START);
    let mut window = Window::new(128, 4096, start);
    batch(&mut window, start, 160, |number| {
        let domain = if ours(number) { 0 } else { others(number) };
        (fate(number), u64::from(number % 16), domain)
    });
    assert_eq!(window.size(), START);
    // Where there is but one prefix and one domain, there is nothing to compare with.
    let mut window = Window::new(128, 4096, start);
    let mut now = start;
    for _ in 0..5 {
        now = batch(&mut window, now, 160, |_| (Fate::Lost, 3, 3));
    }
    assert_eq!(window.size(), HARMLESS);
    // A small one widens again for those who lose nothing.
    window.size = MIN;
    for _ in 0..100 {
        now = batch(&mut window, now, 160, |number| {
            let prefix = if ours(number) { 0 } else { others(number) };
            (fate(number), prefix, u64::from(number % 16))
        });
    }
    assert!((HARMLESS..=HARMLESS * 9 / 8).contains(&window.size()));
}

/// A window that is always full, before a server of 1000 answers a second after 20 ms.
#[test]
fn the_window_finds_what_a_server_can_take() {
    let start = Instant::now();
    let mut window = Window::new(128, 4096, start);
    let (mut inside, mut tokens) = (Vec::new(), 0_u32);
    let mut answered_late = 0;
    for ms in 0..10_000_u32 {
        let now = start + MS * ms;
        tokens = (tokens + 1).min(10);
        inside.retain(|&(due, ticket, fate)| {
            if due <= ms {
                window.leave(ticket, fate, now);
                answered_late += u32::from(ms > 2000 && fate == Fate::Answered);
            }
            due > ms
        });
        while !window.is_full() {
            let number = u64::from(ms) + inside.len() as u64;
            let ticket = window.enter(|| (number << 60, (number / 3) << 60), now);
            let fate = if tokens > 0 {
                Fate::Answered
            } else {
                Fate::Lost
            };
            tokens = tokens.saturating_sub(1);
            let due = ms + if fate == Fate::Lost { 30 } else { 20 };
            inside.push((due, ticket, fate));
        }
        if ms > 1500 {
            assert!(
                (10..=48).contains(&window.size()),
                "{} at {ms} ms",
                window.size()
            );
        }
    }
    assert!(answered_late > 8000 * 8 / 10, "{answered_late}");
}
