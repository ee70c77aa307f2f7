//! When packets go out, and what they say.

use super::*;
use crate::bfd::timing::EXTRA_INTERVAL;

/// RFC 5880 §6.8.3, §6.8.7: at once, then each second less up to a quarter; the slow interval is
/// what is offered too.
#[test]
fn a_new_session_looks_for_its_neighbour_once_in_a_second() {
    let mut world = World::new(&settings());
    let start = world.now;
    world.run(Duration::from_secs(300));
    assert_eq!(world.sent[0].0, start);
    assert!(
        world
            .gaps()
            .iter()
            .all(|gap| (ms(750)..=ms(1000)).contains(gap))
    );
    assert!(world.gaps().iter().any(|gap| *gap < ms(800)));
    assert!(world.gaps().iter().any(|gap| *gap > ms(950)));
    let expected = Packet {
        my_discriminator: MINE,
        your_discriminator: 0,
        ..packet(State::Down)
    };
    assert!(world.sent.iter().all(|(_, packet)| *packet == expected));
}

/// RFC 5880 §6.8.3, §6.5. A session that slept out its second first was torn down by FRR.
#[test]
fn a_session_that_comes_up_is_fast_at_once_and_polls_until_it_is_answered() {
    for (before, received) in [
        (State::Down, State::Init),
        (State::Init, State::Init),
        (State::Init, State::Up),
    ] {
        let mut world = World::in_state(before);
        world.run(ms(300));
        world.forget();
        let start = world.now;
        world.receive(&packet(received));
        assert_eq!(world.sent[0].0, start);
        world.run(ms(140));
        assert!(world.sent.len() >= 3);
        assert!(world.gaps().iter().all(|gap| *gap <= ms(50)));
        for (_, packet) in &world.sent {
            assert_eq!((packet.state, packet.is_poll), (State::Up, true));
            assert_eq!(packet.desired_min_tx, ms(50));
            assert_eq!(packet.your_discriminator, THEIRS);
        }
        let answer = Packet {
            is_final: true,
            ..packet(State::Up)
        };
        world.receive(&answer);
        world.forget();
        world.run(ms(140));
        assert!(world.sent.len() >= 2);
        assert!(world.sent.iter().all(|(_, packet)| !packet.is_poll));
    }
}

/// RFC 5880 §6.8.7: jitter of 0 to 25 %; 10 to 25 % where no packet may be missed.
#[test]
fn periodic_packets_are_jittered() {
    for (multiplier, most) in [(1, 45), (2, 50)] {
        let mut world = World::in_state(State::Up);
        let own = Settings {
            multiplier,
            ..settings()
        };
        world.session.handle_settings(&own);
        world.drain();
        world.forget();
        world.run_hearing(Duration::from_secs(20), ms(7), &packet(State::Up));
        let range = ms(50) * 3 / 4..=ms(most);
        assert!(world.gaps().len() > 400);
        assert!(world.gaps().iter().all(|gap| range.contains(gap)));
    }
}

/// RFC 5880 §6.8.7: at once, with F and without P, in any state that takes packets at all.
#[test]
fn a_poll_is_answered_at_once() {
    for state in State::ALL {
        let mut world = World::in_state(state);
        world.run(ms(20));
        world.forget();
        let poll = Packet {
            is_poll: true,
            ..packet(State::AdminDown)
        };
        world.receive(&poll);
        if state == State::AdminDown {
            assert_eq!(world.sent, []);
            continue;
        }
        let [(at, answer)] = world.sent[..] else {
            panic!("{:?}", world.sent);
        };
        assert_eq!(
            (at, answer.is_final, answer.is_poll),
            (world.now, true, false)
        );
    }
}

/// RFC 5880 §6.5: P and F never meet, and an own Poll goes on beside the answers.
#[test]
fn answering_polls_does_not_stop_the_own_poll() {
    let mut world = World::in_state(State::Init);
    world.run(ms(20));
    world.forget();
    let poll = Packet {
        is_poll: true,
        ..packet(State::Up)
    };
    world.receive(&poll);
    world.run_hearing(ms(2000), ms(1), &poll);
    let own = world.sent.iter().filter(|(_, packet)| packet.is_poll);
    assert!(own.count() >= 2000 / 50 - 1);
    assert!(
        world
            .sent
            .iter()
            .all(|(_, packet)| packet.is_poll != packet.is_final)
    );
}

/// RFC 5880 §6.8.7: answers may be limited, and then are late, not lost.
#[test]
fn a_flood_of_polls_is_not_echoed() {
    let mut world = World::in_state(State::Up);
    world.run(ms(50));
    world.forget();
    let poll = Packet {
        is_poll: true,
        ..packet(State::Up)
    };
    world.run_hearing(ms(1000), Duration::from_micros(10), &poll);
    let answers = world.sent.iter().filter(|(_, packet)| packet.is_final);
    let most = 4 + 100;
    assert!((most - 2..=most).contains(&answers.count()));
    world.forget();
    world.run(EXTRA_INTERVAL);
    let answers = world.sent.iter().filter(|(_, packet)| packet.is_final);
    assert_eq!(answers.count(), 1, "the last Poll is answered too");
}

/// RFC 5880 §6.8.7: news go out of turn, but not without end.
#[test]
fn a_flood_of_changing_states_is_not_echoed() {
    let mut world = World::in_state(State::Down);
    world.forget();
    for _ in 0..50_000 {
        world.run_hearing(ms(1) / 50, ms(1) / 100, &packet(State::Init));
        world.receive(&packet(State::Down));
    }
    assert_eq!(world.now.duration_since(world.sent[0].0).as_secs(), 0);
    // Out of turn, and each 37 ms the periodic one of a session that may be Up.
    assert!(world.sent.len() <= 4 + 100 + 27, "{}", world.sent.len());
}

/// RFC 5880 §6.8.3: counted from the last packet on, and at once if that is past already.
#[test]
fn a_neighbour_that_wants_packets_sooner_gets_them_at_once() {
    let mut world = World::in_state(State::Up);
    let slow = Packet {
        required_min_rx: ms(10_000),
        ..packet(State::Up)
    };
    world.receive(&slow);
    world.run_hearing(ms(120), ms(40), &slow);
    assert!(world.sent.len() <= 1);
    assert_eq!(world.session.status().transmit_interval, Some(ms(10_000)));
    world.forget();
    world.receive(&packet(State::Up));
    assert_eq!(world.sent[0].0, world.now);
    world.forget();
    let next = world.session.poll_timeout().unwrap();
    assert!(next <= world.now + ms(50));
}

/// RFC 5880 §6.8.1 (bfd.RemoteMinRxInterval): 0 ends periodic packets, but no answers and no news.
#[test]
fn a_neighbour_that_wants_no_packets_gets_none_but_answers_and_news() {
    let mut world = World::in_state(State::Up);
    let mute = Packet {
        required_min_rx: Duration::ZERO,
        ..packet(State::Up)
    };
    world.receive(&mute);
    world.forget();
    world.run_hearing(Duration::from_secs(5), ms(50), &mute);
    assert_eq!(world.sent, []);
    world.receive(&Packet {
        is_poll: true,
        ..mute
    });
    assert!(world.sent[0].1.is_final);
    world.session.handle_path_down(world.now);
    world.drain();
    assert_eq!(world.sent[1].1.state, State::Down);
    assert_eq!(world.sent.len(), 2);
    world.receive(&packet(State::Up));
    world.forget();
    world.run(ms(1000));
    assert!(!world.sent.is_empty());
}

/// RFC 5880 §6.6, §6.8.7: demand mode of the other side is honoured.
#[test]
fn a_neighbour_in_demand_mode_gets_answers_only() {
    let mut world = World::in_state(State::Up);
    let demand = Packet {
        is_demand: true,
        ..packet(State::Up)
    };
    world.receive(&demand);
    world.forget();
    world.run_hearing(Duration::from_secs(5), ms(50), &demand);
    assert_eq!(world.sent, []);
    world.receive(&Packet {
        is_poll: true,
        ..demand
    });
    assert!(world.sent[0].1.is_final);
    world.forget();
    world.run(ms(150));
    assert_eq!(
        world.session.state(),
        State::Down,
        "it has to send all the same"
    );
    assert_eq!(world.sent.len(), 1);
}

/// A driver that comes late sends one packet, and none for the time that is lost.
#[test]
fn packets_that_were_missed_are_not_made_up_for() {
    let mut world = World::in_state(State::Down);
    world.now += Duration::from_secs(100);
    world.drain();
    assert_eq!(world.sent.len(), 1);
}
