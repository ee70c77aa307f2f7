use proptest::prelude::*;

use super::*;

fn up() -> Packet {
    Packet {
        diagnostic: Diagnostic::None,
        state: State::Up,
        is_poll: true,
        is_final: false,
        is_control_plane_independent: false,
        is_authenticated: false,
        is_demand: false,
        multiplier: 3,
        my_discriminator: 0x1122_3344,
        your_discriminator: 0x5566_7788,
        desired_min_tx: Duration::from_millis(50),
        required_min_rx: Duration::from_millis(300),
        required_min_echo_rx: Duration::ZERO,
    }
}

const UP: [u8; 24] = [
    0x20, 0xE0, 3, 24, // version 1, no diagnostic, Up, Poll
    0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, // discriminators
    0x00, 0x00, 0xC3, 0x50, 0x00, 0x04, 0x93, 0xE0, // 50,000 µs, 300,000 µs
    0, 0, 0, 0,
];

/// A change of the golden octets.
fn decode_with(change: impl Fn(&mut Vec<u8>)) -> Result<Packet, Malformed> {
    let mut octets = UP.to_vec();
    change(&mut octets);
    Packet::decode(&octets)
}

/// RFC 5880 §4.1: known octets, both ways.
#[test]
fn a_packet_is_these_octets() {
    assert_eq!(up().encode().octets(), UP);
    assert_eq!(Packet::decode(&UP), Ok(up()));
    let down = Packet {
        diagnostic: Diagnostic::DetectionTimeExpired,
        state: State::Down,
        is_poll: false,
        is_final: true,
        is_control_plane_independent: true,
        is_demand: true,
        your_discriminator: 0,
        required_min_echo_rx: Duration::from_micros(1),
        ..up()
    };
    let octets = down.encode();
    assert_eq!(octets.octets()[..4], [0x21, 0x5A, 3, 24]);
    assert_eq!(octets.octets()[20..], [0, 0, 0, 1]);
    assert_eq!(Packet::decode(octets.as_ref()), Ok(down));
}

/// RFC 5880 §6.8.6: the version is 1.
#[test]
fn other_versions_are_refused() {
    for version in [0, 2, 7] {
        let decoded = decode_with(|octets| octets[0] = version << 5);
        assert_eq!(decoded, Err(Malformed::Version));
    }
}

/// RFC 5880 §6.8.6: at least 24 octets, and no more than were received.
#[test]
fn the_length_lies_between_the_header_and_the_datagram() {
    assert_eq!(Packet::decode(&UP[..23]), Err(Malformed::Short));
    assert_eq!(Packet::decode(&[]), Err(Malformed::Short));
    assert_eq!(decode_with(|octets| octets[3] = 23), Err(Malformed::Length));
    assert_eq!(decode_with(|octets| octets[3] = 25), Err(Malformed::Length));
    let longer = decode_with(|octets| octets.push(0));
    assert_eq!(longer, Ok(up()), "what follows the packet is ignored");
    let longer = decode_with(|octets| {
        octets.push(0);
        octets[3] = 25;
    });
    assert_eq!(longer, Ok(up()));
}

/// RFC 5880 §6.8.6: with A set 26 octets at least; and a section lies within the packet.
#[test]
fn a_section_lies_within_the_packet() {
    let with_section = |section: &[u8]| {
        decode_with(|octets| {
            octets[1] |= AUTHENTICATION;
            octets.extend_from_slice(section);
            octets[3] = u8::try_from(octets.len()).unwrap();
        })
    };
    assert_eq!(with_section(&[]), Err(Malformed::Length));
    assert_eq!(with_section(&[4]), Err(Malformed::Length));
    assert_eq!(with_section(&[4, 1]), Err(Malformed::Length));
    assert_eq!(with_section(&[4, 3]), Err(Malformed::Length));
    let signed = Packet {
        is_authenticated: true,
        ..up()
    };
    assert_eq!(with_section(&[4, 2]), Ok(signed));
    assert_eq!(with_section(&[4, 2, 0]), Ok(signed));
}

/// RFC 5880 §6.8.6: what needs no session to be refused.
#[test]
fn zeros_and_multipoint_are_refused() {
    let multiplier = decode_with(|octets| octets[2] = 0);
    assert_eq!(multiplier, Err(Malformed::Multiplier));
    let multipoint = decode_with(|octets| octets[1] |= MULTIPOINT);
    assert_eq!(multipoint, Err(Malformed::Multipoint));
    let mine = decode_with(|octets| octets[4..8].fill(0));
    assert_eq!(mine, Err(Malformed::MyDiscriminator));
}

/// RFC 5880 §6.8.6: without Your Discriminator only Down and AdminDown.
#[test]
fn init_and_up_need_to_know_whom_they_talk_to() {
    for state in State::ALL {
        let decoded = decode_with(|octets| {
            octets[1] = state.to_wire() << 6;
            octets[8..12].fill(0);
        });
        match state {
            State::Init | State::Up => assert_eq!(decoded, Err(Malformed::YourDiscriminator)),
            State::AdminDown | State::Down => assert_eq!(decoded.unwrap().state, state),
        }
    }
}

/// RFC 5880 §4.1: 32 bits of microseconds.
#[test]
fn an_interval_beyond_the_field_is_the_greatest_there_is() {
    let packet = Packet {
        desired_min_tx: Duration::from_secs(4295),
        ..up()
    };
    assert_eq!(packet.encode().octets()[12..16], [0xFF; 4]);
}

fn any_packet() -> impl Strategy<Value = Packet> {
    let numbers = (1_u32.., 1_u32.., any::<u32>(), any::<u32>(), any::<u32>());
    (any::<[u8; 2]>(), 1_u8.., numbers).prop_map(|([diagnostic, flags], multiplier, numbers)| {
        let (my_discriminator, your_discriminator, tx, rx, echo) = numbers;
        Packet {
            diagnostic: Diagnostic::from_wire(diagnostic),
            state: State::from_wire(flags >> 6),
            is_poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            is_control_plane_independent: flags & CONTROL_PLANE_INDEPENDENT != 0,
            is_authenticated: flags & AUTHENTICATION != 0,
            is_demand: flags & DEMAND != 0,
            multiplier,
            my_discriminator,
            your_discriminator,
            desired_min_tx: Duration::from_micros(tx.into()),
            required_min_rx: Duration::from_micros(rx.into()),
            required_min_echo_rx: Duration::from_micros(echo.into()),
        }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(packet in any_packet()) {
        let mut encoded = packet.encode();
        encoded.octets_mut()[25] = 28;
        prop_assert_eq!(Packet::decode(encoded.octets()), Ok(packet));
    }

    #[test]
    fn what_is_read_is_written_again(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(packet) = Packet::decode(&octets) {
            let encoded = packet.encode();
            prop_assert_eq!(&encoded.octets()[4..24], &octets[4..24]);
            prop_assert_eq!(&encoded.octets()[..3], &octets[..3]);
        }
    }

    #[test]
    fn random_octets_behind_a_good_start_never_panic(
        start in any::<[u8; 3]>(),
        rest in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let [flags, multiplier, length] = start;
        let mut octets = vec![0x20, flags, multiplier, length % 80];
        octets.extend(rest);
        let _ = Packet::decode(&octets);
    }
}
