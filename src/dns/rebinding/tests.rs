use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const WWW: &[u8] = b"\x03www\x07example\x00";

fn zone(apex: &[u8]) -> ForwardZone {
    ForwardZone {
        zone: apex.to_vec(),
        zone_text: String::new(),
        action: crate::dns::ZoneAction::Forward,
        upstreams: Vec::new(),
        last_resort: Vec::new(),
        dialect: crate::dns::DialectSettings::default(),
        critical: false,
    }
}

/// Switched on, with `corp.` as a forward zone and `home.example.` allowed.
fn rebinding() -> Rebinding {
    let settings = RebindingSettings {
        enabled: true,
        allowed: vec![b"\x04home\x07example\x00".to_vec()],
    };
    Rebinding::new(&settings, &[zone(ROOT), zone(b"\x04corp\x00")]).unwrap()
}

fn key(name: &[u8]) -> Key {
    Key::new(name, 1, 1, false, false).unwrap()
}

/// Records of the question's name, one after another.
fn records(all: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (rtype, rdata) in all {
        bytes.extend_from_slice(&[0xC0, 0x0C]);
        bytes.extend_from_slice(&rtype.to_be_bytes());
        bytes.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
        bytes.extend_from_slice(&u16::try_from(rdata.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(rdata);
    }
    bytes
}

fn answer(count: u16, records: &[u8]) -> Cleaned<'_> {
    Cleaned {
        rcode: Rcode::NOERROR,
        authentic: true,
        sections: Sections::new([count, 0, 0], records),
        lifetime: Some(60 * SECOND),
        extended_error: None,
    }
}

/// Whether the answer with these records to a question for `name` is withheld.
fn is_blocked(name: &[u8], all: &[(u16, &[u8])]) -> bool {
    let bytes = records(all);
    let given = answer(u16::try_from(all.len()).unwrap(), &bytes);
    let passed = rebinding().pass(&key(name), given, HOUR);
    let blocked = passed.extended_error == Some(ExtendedError::BLOCKED);
    if !blocked {
        assert_eq!(passed, given);
    }
    blocked
}

/// RFC 6890 §2.2: first and last of each block, and what is next to it.
#[test]
fn addresses_of_private_blocks_are_withheld_and_their_neighbours_are_not() {
    for (address, private) in [
        ("0.0.0.0", true),
        ("0.255.255.255", true),
        ("1.0.0.0", false),
        ("9.255.255.255", false),
        ("10.0.0.0", true),
        ("10.255.255.255", true),
        ("11.0.0.0", false),
        ("126.255.255.255", false),
        ("127.0.0.1", true),
        ("127.255.255.255", true),
        ("128.0.0.0", false),
        ("169.253.255.255", false),
        ("169.254.0.0", true),
        ("169.254.255.255", true),
        ("169.255.0.0", false),
        ("172.15.255.255", false),
        ("172.16.0.0", true),
        ("172.31.255.255", true),
        ("172.32.0.0", false),
        ("192.167.255.255", false),
        ("192.168.0.0", true),
        ("192.168.255.255", true),
        ("192.169.0.0", false),
        ("::", true),
        ("::1", true),
        ("::2", false),
        ("fbff::1", false),
        ("fc00::", true),
        ("fdff:ffff::1", true),
        ("fe00::", false),
        ("fe7f::", false),
        ("fe80::", true),
        ("febf::1", true),
        ("fec0::", false),
        ("2001:db8::1", false),
        ("::ffff:10.0.0.1", true),
        ("::ffff:192.0.2.1", false),
        ("64:ff9b::192.168.1.1", true),
        ("64:ff9b::192.0.2.1", false),
        ("64:ff9b:1::10.0.0.1", false),
    ] {
        let rdata = match address.parse().unwrap() {
            IpAddr::V4(address) => (rtype::A, address.octets().to_vec()),
            IpAddr::V6(address) => (rtype::AAAA, address.octets().to_vec()),
        };
        assert_eq!(
            is_blocked(WWW, &[(rdata.0, &rdata.1)]),
            private,
            "{address}"
        );
    }
}

#[test]
fn one_private_address_withholds_the_whole_answer_as_no_data() {
    let bytes = records(&[(rtype::A, &[192, 0, 2, 1]), (rtype::A, &[10, 0, 0, 1])]);
    let rebinding = rebinding();
    for (limit, lifetime) in [(HOUR, 60 * SECOND), (SECOND, SECOND)] {
        let passed = rebinding.pass(&key(WWW), answer(2, &bytes), limit);
        assert_eq!(passed.rcode, Rcode::NOERROR);
        assert_eq!(passed.sections, Sections::default());
        assert_eq!(passed.lifetime, Some(lifetime));
        assert_eq!(passed.extended_error, Some(ExtendedError::BLOCKED));
        assert!(!passed.authentic);
    }
    assert_eq!(rebinding.blocked(), 2);
}

/// RFC 9460 §7.3: keys 4 and 6 of SVCB and HTTPS.
#[test]
fn private_hints_of_service_bindings_are_withheld() {
    let binding = |parameters: &[u8]| [b"\x00\x01\x03www\x00", parameters].concat();
    for (parameters, blocked) in [
        (&b""[..], false),
        (b"\x00\x01\x00\x03\x02h2", false),
        (b"\x00\x04\x00\x04\xC0\x00\x02\x01", false),
        (b"\x00\x04\x00\x08\xC0\x00\x02\x01\x0A\x00\x00\x01", true),
        (
            b"\x00\x01\x00\x03\x02h2\x00\x04\x00\x04\x7F\x00\x00\x01",
            true,
        ),
        (b"\x00\x06\x00\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", true),
        (b"\x00\x05\x00\x04\x0A\x00\x00\x01", false),
        (b"\x00\x04\x00\x08\x0A\x00\x00\x01", false),
        (b"\x00", false),
    ] {
        for rtype in [rtype::SVCB, rtype::HTTPS] {
            let rdata = binding(parameters);
            assert_eq!(
                is_blocked(WWW, &[(rtype, &rdata)]),
                blocked,
                "{parameters:02x?}"
            );
        }
    }
    // Text may say what it likes.
    assert!(!is_blocked(WWW, &[(rtype::TXT, b"\x04\x0A\x00\x00\x01")]));
}

#[test]
fn names_of_own_zones_and_allowed_names_are_exempt() {
    for (name, exempt) in [
        (&b"\x04corp\x00"[..], true),
        (b"\x01a\x01b\x04corp\x00", true),
        (b"\x05xcorp\x00", false),
        (b"\x04corp\x07example\x00", false),
        (b"\x04home\x07example\x00", true),
        (b"\x03nas\x04home\x07example\x00", true),
        (b"\x07example\x00", false),
        (b"\x00", false),
    ] {
        let blocked = is_blocked(name, &[(rtype::A, &[10, 0, 0, 1])]);
        assert_eq!(blocked, !exempt, "{}", name.escape_ascii());
    }
}

#[test]
fn it_is_off_unless_switched_on() {
    assert!(Rebinding::new(&RebindingSettings::default(), &[zone(ROOT)]).is_none());
}

proptest! {
    #[test]
    fn no_records_make_it_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        count in any::<u16>(),
        rtype in proptest::sample::select(vec![1_u16, 28, 64, 65]),
    ) {
        let _ = rebinding().pass(&key(WWW), answer(count, &bytes), HOUR);
        let _ = is_blocked(WWW, &[(rtype, &bytes)]);
    }
}
