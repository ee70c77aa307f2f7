use hickory_proto::op::{Message, ResponseCode};
use proptest::prelude::*;

use super::super::answer;
use super::super::key::Key;
use super::super::record_text::{name_from_text, rdata_from_text};
use super::super::request::Request;
use super::super::{DialectSettings, ZoneAction};
use super::alias::LINKS_MAX;
use super::*;

mod records;
mod special_names;
mod zones;

const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const PTR: u16 = 12;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const ANY: u16 = 255;

fn wire(name: &str) -> Vec<u8> {
    name_from_text(name).unwrap()
}

/// `"printer.corp. A 10.0.0.40"`, with a TTL of 60 s.
fn record(text: &str) -> LocalRecord {
    let mut words = text.splitn(3, ' ');
    let mut next = || words.next().unwrap();
    let name = wire(next());
    let (rtype, rdata) = rdata_from_text(next(), next()).unwrap();
    LocalRecord {
        name,
        rtype,
        ttl_s: 60,
        rdata,
    }
}

fn zone((zone, action): &(&str, ZoneAction)) -> ForwardZone {
    ForwardZone {
        zone: wire(zone),
        zone_text: (*zone).to_owned(),
        action: *action,
        upstreams: Vec::new(),
        last_resort: Vec::new(),
        dialect: DialectSettings::default(),
        critical: false,
    }
}

/// With all special names, the canary included.
fn tree(records: &[&str], zones: &[(&str, ZoneAction)]) -> LocalTree {
    let special = SpecialNameSettings {
        canary: true,
        ..SpecialNameSettings::default()
    };
    tree_with(records, zones, &special)
}

/// Without special names.
fn plain(records: &[&str], zones: &[(&str, ZoneAction)]) -> LocalTree {
    let none = SpecialNameSettings {
        enabled: false,
        private_reverse: false,
        canary: false,
    };
    tree_with(records, zones, &none)
}

fn tree_with(
    records: &[&str],
    zones: &[(&str, ZoneAction)],
    special: &SpecialNameSettings,
) -> LocalTree {
    let records: Vec<LocalRecord> = records.iter().map(|text| record(text)).collect();
    let zones: Vec<ForwardZone> = zones.iter().map(zone).collect();
    LocalTree::new(&records, &zones, special)
}

/// The whole answer as a client reads it; `None`: upstreams are asked.
fn ask(tree: &LocalTree, name: &str, qtype: u16) -> Option<Message> {
    let mut message = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    message.extend_from_slice(&wire(name));
    message.extend_from_slice(&qtype.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    let mut key = Key::empty();
    let request = Request::parse(&message, &mut key).unwrap();
    let local = tree.find(key.name(), qtype)?;
    let mut out = Vec::new();
    answer::write(&mut out, &request, 65535, b"node", &local.into());
    Some(Message::from_vec(&out).unwrap())
}

/// The answer in a line: RCODE, answer section, then `|` and the authority section without what
/// every SOA here has.
fn said(tree: &LocalTree, name: &str, qtype: u16) -> String {
    let Some(message) = ask(tree, name, qtype) else {
        return "upstream".to_owned();
    };
    let rcode = match message.metadata.response_code {
        ResponseCode::NoError => "noerror",
        ResponseCode::NXDomain => "nxdomain",
        ResponseCode::Refused => "refused",
        ResponseCode::ServFail => "servfail",
        other => panic!("{other}"),
    };
    let is_error = matches!(rcode, "refused" | "servfail");
    assert_eq!(message.metadata.authoritative, !is_error, "{name}");
    let mut line = rcode.to_owned();
    for record in &message.answers {
        let data = record.data.to_string();
        line += &format!(" {} {} {data}", record.name, record.record_type());
    }
    for record in &message.authorities {
        line += &format!(" | {} {} {}", record.name, record.record_type(), record.ttl);
    }
    assert!(message.additionals.is_empty());
    line
}

fn assert_said(tree: &LocalTree, cases: &[(&str, u16, &str)]) {
    for (name, qtype, expected) in cases {
        assert_eq!(said(tree, name, *qtype), *expected, "{name} {qtype}");
    }
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("c".to_owned()),
        Just("test".to_owned()),
        Just("arpa".to_owned()),
        Just("home".to_owned())
    ]
}

fn any_name() -> impl Strategy<Value = String> {
    proptest::collection::vec(label(), 0..4).prop_map(|labels| labels.join(".") + ".")
}

fn any_action() -> impl Strategy<Value = ZoneAction> {
    prop_oneof![
        Just(ZoneAction::Forward),
        Just(ZoneAction::Local),
        Just(ZoneAction::Refuse)
    ]
}

proptest! {
    #[test]
    fn no_name_makes_a_look_up_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        qtype: u16,
    ) {
        let tree = tree(&["a.b. A 10.0.0.1"], &[("c.", ZoneAction::Local)]);
        let _ = tree.find(&bytes, qtype);
    }

    /// What the module says of it, said again by looking at every zone and every record.
    #[test]
    fn every_answer_is_that_of_the_record_or_the_longest_zone(
        records in proptest::collection::vec(any_name(), 0..4),
        zones in proptest::collection::vec((any_name(), any_action()), 0..4),
        name in any_name(),
    ) {
        let mut zones = zones;
        zones.sort_by(|one, other| one.0.cmp(&other.0));
        zones.dedup_by(|one, other| one.0 == other.0);
        let zones: Vec<_> = zones.iter().map(|(name, action)| (name.as_str(), *action)).collect();
        let texts: Vec<String> = records.iter().map(|name| format!("{name} A 10.0.0.1")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let tree = plain(&texts, &zones);
        let wanted = wire(&name);
        let is_below = |zone: &str| wanted.ends_with(&wire(zone)) && {
            let (labels, zone) = (name.trim_end_matches('.'), zone.trim_end_matches('.'));
            zone.is_empty() || labels == zone || labels.ends_with(&format!(".{zone}"))
        };
        let closest = zones.iter().filter(|(zone, _)| is_below(zone)).max_by_key(|(zone, _)| wire(zone).len());
        let above = |other: &str| {
            let (other, name) = (other.trim_end_matches('.'), name.trim_end_matches('.'));
            name.is_empty() || other == name || other.ends_with(&format!(".{name}"))
        };
        let exists = records.iter().any(|record| above(record)) || zones.iter().any(|(zone, _)| above(zone));
        let found = tree.find(&wanted, A);
        let rcode = found.map(|found| found.rcode);
        if records.contains(&name) {
            prop_assert_eq!(rcode, Some(Rcode::NOERROR));
            prop_assert!(found.unwrap().sections.counts()[0] >= 1);
        } else {
            let expected = match closest {
                None | Some((_, ZoneAction::Forward)) => None,
                Some((_, ZoneAction::Refuse)) => Some(Rcode::REFUSED),
                Some((_, ZoneAction::Local)) if exists => Some(Rcode::NOERROR),
                Some((_, ZoneAction::Local)) => Some(Rcode::NXDOMAIN),
            };
            prop_assert_eq!(rcode, expected);
        }
    }

    /// A hostile hosts file, or a slip of the operator, must not keep a node from starting.
    #[test]
    fn aliases_of_any_shape_are_answered(
        aliases in proptest::collection::vec((any_name(), any_name()), 0..8),
        name in any_name(),
        qtype in prop_oneof![Just(A), Just(CNAME), Just(ANY)],
    ) {
        let texts: Vec<String> = aliases.iter().map(|(from, to)| format!("{from} CNAME {to}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let tree = tree(&texts, &[("b.", ZoneAction::Local), ("c.", ZoneAction::Refuse)]);
        let answer = ask(&tree, &name, qtype);
        if let Some(answer) = answer {
            prop_assert!(answer.answers.len() <= LINKS_MAX + 1);
        }
    }
}
