#![expect(clippy::disallowed_methods, reason = "a test needs some instant")]

use super::*;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn settings(interval: Duration) -> Settings {
    Settings {
        interval,
        multiplier: 3,
        authentication: None,
    }
}

fn remote(state: State, desired_tx: Duration, required_rx: Duration) -> Remote {
    Remote {
        discriminator: 1,
        state,
        multiplier: 4,
        desired_tx,
        required_rx,
        ..Remote::UNKNOWN
    }
}

/// A session that has just come Up, at 50 ms.
fn up() -> Timing {
    let mut timing = Timing::new(&settings(ms(50)));
    timing.tune(true);
    timing
}

/// RFC 5880 §6.8.3: at least a second while not Up, whatever is configured.
#[test]
fn a_session_that_is_not_up_offers_a_second_at_least() {
    for (interval, offered) in [(10, 1000), (999, 1000), (1000, 1000), (1001, 1001)] {
        let timing = Timing::new(&settings(ms(interval)));
        assert_eq!(timing.desired_tx, ms(offered));
        assert_eq!(timing.required_rx, ms(interval));
        let interval = timing.transmit_interval(&Remote::UNKNOWN, false);
        assert_eq!(interval, Some(ms(offered)));
        assert!(!timing.is_polling());
    }
}

/// RFC 5880 §6.8.3: the fast interval is a decrease, and so holds at once; a Poll tells of it.
#[test]
fn a_session_is_fast_the_moment_it_is_up() {
    let mut timing = up();
    let remote = remote(State::Init, ms(1000), ms(30));
    assert_eq!(timing.transmit_interval(&remote, true), Some(ms(50)));
    assert!(timing.is_polling());
    timing.handle_final();
    assert!(!timing.is_polling());
    assert_eq!(timing.transmit_interval(&remote, true), Some(ms(50)));
}

/// RFC 5880 §6.8.3: slower packets, or a shorter patience, wait for the Poll's answer.
#[test]
fn what_the_other_side_has_to_know_first_waits_for_the_final() {
    let remote = remote(State::Up, ms(20), ms(30));
    let mut timing = up();
    timing.handle_final();

    timing.change(&settings(ms(200)));
    timing.tune(true);
    assert_eq!(timing.desired_tx, ms(200));
    assert_eq!(timing.transmit_interval(&remote, true), Some(ms(50)));
    assert_eq!(timing.detection_time(&remote), Some(ms(800)), "at once");
    timing.handle_final();
    assert_eq!(timing.transmit_interval(&remote, true), Some(ms(200)));

    timing.change(&settings(ms(100)));
    timing.tune(true);
    assert_eq!(
        timing.transmit_interval(&remote, true),
        Some(ms(100)),
        "at once"
    );
    assert_eq!(timing.detection_time(&remote), Some(ms(800)));
    timing.handle_final();
    assert_eq!(timing.detection_time(&remote), Some(ms(400)));
}

/// RFC 5880 §6.8.3: that rule is for Up only.
#[test]
fn leaving_up_ends_the_poll_and_slows_down_at_once() {
    let mut timing = up();
    timing.tune(false);
    assert!(!timing.is_polling());
    let interval = timing.transmit_interval(&Remote::UNKNOWN, false);
    assert_eq!(interval, Some(SLOW_INTERVAL));
}

/// RFC 5880 §6.5: an answer to an older Poll does not answer for newer values.
#[test]
fn values_that_change_during_a_poll_take_another_one() {
    let remote = remote(State::Up, ms(20), ms(30));
    let mut timing = up();
    timing.change(&settings(ms(200)));
    timing.tune(true);
    timing.handle_final();
    assert!(!timing.is_polling(), "one packet without P in between");
    timing.handle_final();
    assert_eq!(timing.transmit_interval(&remote, true), Some(ms(50)));
    timing.handle_sent();
    assert!(timing.is_polling());
    timing.handle_final();
    assert!(!timing.is_polling());
    assert_eq!(timing.transmit_interval(&remote, true), Some(ms(200)));
}

/// RFC 5880 §6.8.7: the greater of what one wants to send and the other to receive; 0 is silence.
#[test]
fn the_other_side_may_slow_packets_down_or_end_them() {
    let timing = up();
    for (required_rx, interval) in [(1, Some(50)), (50, Some(50)), (51, Some(51)), (0, None)] {
        let remote = remote(State::Up, ms(50), ms(required_rx));
        assert_eq!(timing.transmit_interval(&remote, true), interval.map(ms));
    }
}

/// RFC 5880 §6.6, §6.8.7: demand mode silences a session that is Up at both ends and polls nothing.
#[test]
fn demand_mode_ends_periodic_packets_while_both_are_up() {
    let mut timing = up();
    let demand = |state| Remote {
        is_demand: true,
        ..remote(state, ms(50), ms(50))
    };
    assert!(timing.transmit_interval(&demand(State::Up), true).is_some());
    timing.handle_final();
    assert_eq!(timing.transmit_interval(&demand(State::Up), true), None);
    assert!(
        timing
            .transmit_interval(&demand(State::Up), false)
            .is_some()
    );
    for state in [State::AdminDown, State::Down, State::Init] {
        assert!(timing.transmit_interval(&demand(state), true).is_some());
    }
}

/// RFC 5880 §6.8.4: the other side's multiplier, and the greater of the two intervals.
#[test]
fn detection_takes_the_other_sides_multiplier_and_the_slower_interval() {
    let timing = up();
    for (desired_tx, detection) in [(0, 200), (49, 200), (50, 200), (51, 204), (1000, 4000)] {
        let remote = remote(State::Up, ms(desired_tx), ms(1));
        assert_eq!(timing.detection_time(&remote), Some(ms(detection)));
    }
    assert_eq!(timing.detection_time(&Remote::UNKNOWN), None);
    let slowest = Duration::from_micros(u32::MAX.into());
    let hostile = Remote {
        multiplier: 255,
        ..remote(State::Up, slowest, slowest)
    };
    assert_eq!(timing.detection_time(&hostile), Some(slowest * 255));
}

/// RFC 5880 §6.8.4, seen from the other side: the older offer counts until the newer is answered.
#[test]
fn the_other_sides_patience_is_that_of_the_slowest_offer_it_may_believe_in() {
    let mut timing = up();
    let remote = remote(State::Up, ms(50), ms(60));
    assert_eq!(timing.remote_detection_time(&remote), ms(3000));
    timing.handle_final();
    assert_eq!(timing.remote_detection_time(&remote), ms(180));
    for (interval, patience) in [(200, 600), (100, 600)] {
        timing.change(&settings(ms(interval)));
        timing.tune(true);
        assert_eq!(timing.remote_detection_time(&remote), ms(patience));
    }
    timing.handle_final();
    assert_eq!(
        timing.remote_detection_time(&remote),
        ms(600),
        "of the older Poll"
    );
    timing.handle_sent();
    timing.handle_final();
    assert_eq!(timing.remote_detection_time(&remote), ms(300));
}

/// RFC 5880 §6.8.7: 75 % to 100 %, to 90 % with a multiplier of 1, and not always the same.
#[test]
fn jitter_stays_in_its_range_and_uses_all_of_it() {
    for (multiplier, most) in [(1, 900), (2, 1000), (255, 1000)] {
        let mut jitter = Jitter::new(1);
        let drawn: Vec<_> = (0..2000)
            .map(|_| jitter.shorten(ms(1000), multiplier))
            .collect();
        let (least, greatest) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
        assert!((ms(750)..ms(755)).contains(least), "{least:?}");
        assert!((ms(most - 5)..=ms(most)).contains(greatest), "{greatest:?}");
    }
}

/// RFC 5880 §6.8.7: answers to Polls may be limited.
#[test]
fn packets_out_of_turn_come_in_a_small_burst_and_then_each_ten_milliseconds() {
    let start = Instant::now();
    let mut allowance = Allowance::new(start);
    for _ in 0..EXTRA_BURST {
        assert!(allowance.take(start));
    }
    assert!(!allowance.take(start));
    assert_eq!(allowance.next(), start + EXTRA_INTERVAL);
    assert!(!allowance.take(start + EXTRA_INTERVAL - Duration::from_nanos(1)));
    assert!(allowance.take(start + EXTRA_INTERVAL));
    let later = start + ms(60_000);
    let burst = (0..10).filter(|_| allowance.take(later)).count();
    assert_eq!(burst, 4, "what is not used is not saved up");
}
