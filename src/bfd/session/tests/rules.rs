//! Detection, discriminators, parting, holding down, signatures.

use super::*;
use crate::bfd::packet::Malformed;

/// RFC 5880 §6.8.4: the other side's multiplier × the slower interval, and not a moment less.
#[test]
fn silence_for_one_detection_time_takes_the_session_down() {
    let mut world = World::in_state(State::Up);
    let packet = Packet {
        multiplier: 4,
        desired_min_tx: ms(60),
        ..packet(State::Up)
    };
    world.receive(&packet);
    let deadline = world.now + ms(240);
    assert_eq!(world.session.status().detection_time, Some(ms(240)));
    world.session.handle_timeout(deadline - NANOSECOND);
    assert_eq!(world.session.state(), State::Up);
    world.session.handle_timeout(deadline);
    assert_eq!(world.session.state(), State::Down);
    let status = world.session.status();
    assert_eq!(status.diagnostic, Diagnostic::DetectionTimeExpired);
    assert_eq!(status.last_loss, Diagnostic::DetectionTimeExpired);
    assert_eq!((status.counts.ups, status.counts.downs), (1, 1));
}

/// RFC 5880 §6.8.4, §6.8.6: each packet that is not dropped begins the time anew.
#[test]
fn a_session_that_hears_in_time_stays_up() {
    let mut world = World::in_state(State::Up);
    world.run_hearing(Duration::from_secs(60), ms(149), &packet(State::Up));
    assert_eq!(world.events, []);
    let status = world.session.status();
    assert!((ms(148)..=ms(149)).contains(&status.receive_gap.unwrap()));
    assert_eq!(status.receive_gap_max, Some(ms(149)));
}

/// RFC 5880 §6.8.1 (bfd.RemoteDiscr), §6.8.18 (bfd.RemoteMinRxInterval).
#[test]
fn what_a_silent_neighbour_has_said_is_forgotten() {
    for state in State::ALL {
        let mut world = World::in_state(state);
        let wants_silence = Packet {
            required_min_rx: Duration::ZERO,
            ..packet(State::Up)
        };
        world.receive(&wants_silence);
        let status = world.session.status();
        assert_eq!(status.remote_discriminator, Some(THEIRS));
        assert_eq!(status.transmit_interval, None);
        world.run(status.detection_time.unwrap());
        let status = world.session.status();
        assert_eq!(status.remote_discriminator, None, "{state:?}");
        assert_eq!(status.detection_time, None);
        assert_eq!(status.transmit_interval, Some(ms(1000)));
        world.forget();
        world.run(ms(1000));
        assert!(!world.sent.is_empty());
        assert!(
            world
                .sent
                .iter()
                .all(|(_, packet)| packet.your_discriminator == 0)
        );
    }
}

/// RFC 5880 §6.8.6: Your Discriminator selects the session.
#[test]
fn a_datagram_of_another_session_changes_nothing() {
    let mut world = World::in_state(State::Down);
    let stranger = Packet {
        your_discriminator: MINE + 1,
        ..packet(State::Init)
    };
    let refused = world
        .session
        .handle_datagram(world.now, stranger.encode().octets());
    assert_eq!(refused, Err(Rejected::Stranger));
    let short = world.session.handle_datagram(world.now, &[0x20]);
    assert_eq!(short, Err(Rejected::Malformed(Malformed::Short)));
    let status = world.session.status();
    assert_eq!(
        (status.state, status.remote_discriminator),
        (State::Down, None)
    );
    assert_eq!((status.counts.received, status.counts.rejected), (0, 2));
    let first = Packet {
        your_discriminator: 0,
        ..packet(State::Down)
    };
    let taken = world
        .session
        .handle_datagram(world.now, first.encode().octets());
    assert_eq!(taken, Ok(()));
    assert_eq!(world.session.state(), State::Init);
}

/// RFC 5880 §6.8.6: both sides sign, or none.
#[test]
fn a_signature_is_needed_where_there_is_a_key_and_only_there() {
    let mut world = World::new(&signing());
    let unsigned = packet(State::Down).encode();
    let refused = world.session.handle_datagram(world.now, unsigned.octets());
    assert_eq!(refused, Err(Rejected::Unauthentic(Unauthentic::Unsigned)));

    let mut other = Session::new(&signing(), number(THEIRS), 2, world.now);
    let signed = other.poll_transmit(world.now).unwrap();
    let mut keyless = World::in_state(State::Down);
    let refused = keyless.session.handle_datagram(world.now, signed.octets());
    assert_eq!(refused, Err(Rejected::Unauthentic(Unauthentic::Signed)));

    assert_eq!(
        world.session.handle_datagram(world.now, signed.octets()),
        Ok(())
    );
    assert_eq!(world.session.state(), State::Init);
    let again = world.session.handle_datagram(world.now, signed.octets());
    assert_eq!(again, Err(Rejected::Unauthentic(Unauthentic::Sequence)));
}

/// RFC 5880 §6.8.16: AdminDown is told for a detection time of the other side, and then may go.
#[test]
fn a_session_that_was_up_parts_for_a_detection_time() {
    let mut world = World::in_state(State::Up);
    assert!(!world.session.is_parted(world.now), "it is Up");
    world.receive(&packet(State::Up));
    world.run(ms(60));
    world.forget();
    let start = world.now;
    world.session.handle_admin_down(start);
    assert_eq!(
        world.session.poll_timeout().filter(|due| *due > start),
        None
    );
    world.drain();
    let told = world.sent[0].1;
    assert_eq!(told.state, State::AdminDown);
    assert_eq!(told.diagnostic, Diagnostic::AdministrativelyDown);
    assert!(!world.session.is_parted(start + ms(150) - NANOSECOND));
    assert!(world.session.is_parted(start + ms(150)));
    assert_eq!(
        world.session.poll_timeout(),
        Some(start + ms(90)),
        "what was heard last"
    );
    world.run(ms(90));
    assert_eq!(world.session.poll_timeout(), Some(start + ms(150)));
    world.run(ms(60));
    assert!(world.session.is_parted(world.now));
    world.session.handle_enable(world.now);
    assert!(!world.session.is_parted(world.now));
}

/// RFC 5880 §6.8.3: until it has answered the Poll the other side may still be patient.
#[test]
fn a_session_that_was_up_for_a_moment_parts_for_the_slow_detection_time() {
    let mut world = World::in_state(State::Init);
    world.receive(&packet(State::Init));
    world.session.handle_admin_down(world.now);
    world.drain();
    assert!(!world.session.is_parted(world.now + ms(3000) - NANOSECOND));
    assert!(world.session.is_parted(world.now + ms(3000)));
}

/// Nobody counts on a session that has only said Down; but it is told once all the same.
#[test]
fn a_session_that_nobody_counts_on_parts_at_once() {
    let mut world = World::in_state(State::Down);
    world.session.handle_admin_down(world.now);
    assert!(!world.session.is_parted(world.now));
    world.drain();
    assert!(world.session.is_parted(world.now));
}

/// A neighbour's intervals must not keep the node from ending.
#[test]
fn no_neighbour_makes_parting_last_for_hours() {
    let mut world = World::in_state(State::Up);
    let slow = Packet {
        required_min_rx: Duration::from_secs(4000),
        // The answer is the packet that it counts from.
        is_poll: true,
        ..packet(State::Up)
    };
    world.receive(&slow);
    world.session.handle_admin_down(world.now);
    world.drain();
    assert!(
        !world
            .session
            .is_parted(world.now + PARTING_MAX - NANOSECOND)
    );
    assert!(world.session.is_parted(world.now + PARTING_MAX));
}

/// RFC 5880 §6.8.18: held Down, a session says so and nothing moves it; then it is as any other.
#[test]
fn a_session_that_is_held_down_refuses_to_come_up_until_it_is_released() {
    let mut world = World::in_state(State::Up);
    world.session.handle_hold_down(world.now, true);
    world.drain();
    for state in [State::Up, State::Down, State::Init, State::Init] {
        world.run(ms(500));
        world.receive(&packet(state));
        assert_eq!(world.session.state(), State::Down);
    }
    let said = world.sent.iter().map(|(_, packet)| packet);
    assert!(said.clone().all(|packet| packet.state == State::Down));
    assert!(
        said.clone()
            .all(|packet| packet.diagnostic == Diagnostic::ConcatenatedPathDown)
    );
    assert!(world.session.status().is_held_down);
    world.session.handle_hold_down(world.now, false);
    world.receive(&packet(State::Init));
    assert_eq!(world.session.state(), State::Up);
    assert_eq!(world.session.status().diagnostic, Diagnostic::None);
    assert_eq!(
        world.session.status().last_loss,
        Diagnostic::ConcatenatedPathDown
    );
}

/// The reason is told until the session is Up again. RFC 5880 §4.1 (Diagnostic).
#[test]
fn the_other_side_can_learn_why_the_last_session_ended() {
    let mut world = World::in_state(State::Up);
    world.run(ms(200));
    world.forget();
    world.receive(&packet(State::Down));
    assert_eq!(world.session.state(), State::Init);
    assert_eq!(world.sent[0].1.diagnostic, Diagnostic::DetectionTimeExpired);
    world.receive(&packet(State::Up));
    assert_eq!(world.sent[1].1.diagnostic, Diagnostic::None);
}

/// Events of a driver that does not fetch them are dropped, the oldest first.
#[test]
fn events_have_a_bound() {
    let mut world = World::in_state(State::Down);
    for _ in 0..100 {
        world.session.handle_packet(world.now, &packet(State::Init));
        world.session.handle_packet(world.now, &packet(State::Down));
    }
    world.drain();
    assert_eq!(world.events.len(), EVENTS_MAX);
    assert_eq!(world.session.status().counts.lost_events, 200 - 16);
    let last = world.events.last().unwrap();
    assert!(matches!(
        last,
        Event::State {
            to: State::Down,
            ..
        }
    ));
}

/// RFC 5880 §6.8.12 and §6.8.3, in one: other settings while Up are polled for.
#[test]
fn new_settings_are_told_at_once_and_take_effect_with_the_answer() {
    let mut world = World::in_state(State::Up);
    world.run(ms(5));
    world.forget();
    let slower = Settings {
        interval: ms(300),
        multiplier: 5,
        authentication: None,
    };
    world.session.handle_settings(&slower);
    world.drain();
    let told = world.sent[0].1;
    assert_eq!(
        (told.desired_min_tx, told.required_min_rx),
        (ms(300), ms(300))
    );
    assert_eq!((told.multiplier, told.is_poll), (5, true));
    assert_eq!(world.session.status().transmit_interval, Some(ms(50)));
    assert_eq!(world.session.status().detection_time, Some(ms(900)));
    let answer = Packet {
        is_final: true,
        ..packet(State::Up)
    };
    world.receive(&answer);
    assert_eq!(world.session.status().transmit_interval, Some(ms(300)));
    world.session.handle_settings(&signing());
    world.drain();
    assert!(world.sent.last().unwrap().1.is_authenticated);
}
