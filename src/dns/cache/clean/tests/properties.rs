//! Whatever an upstream sends: what is kept is what a plain account of the rules says.

use super::build::*;
use super::*;

const NAMES: [&str; 7] = [
    "www.example.",
    "WWW.Example.",
    "a.example.",
    "b.a.example.",
    "example.",
    "other.test.",
    ".",
];

fn any_name() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&NAMES[..])
}

fn any_line() -> impl Strategy<Value = Line> {
    let names = || (any_name(), any_name());
    prop_oneof![
        3 => (any_name(), any::<u8>()).prop_map(|(owner, last)| address(owner, last)),
        3 => names().prop_map(|(owner, target)| alias(owner, target)),
        1 => names().prop_map(|(owner, target)| server(owner, target)),
        1 => names().prop_map(|(owner, target)| line(owner, rtype::DNAME, vec![Part::Name(target.into())])),
        1 => any_name().prop_map(start_of),
        1 => (any_name(), proptest::sample::select(vec![1_u16, 2, 5, 6, 47]))
            .prop_map(|(owner, covered)| signature(owner, covered)),
        1 => any_name().prop_map(|owner| opaque(owner, rtype::NSEC)),
    ]
}

/// The same rules, over records that have no wire form. `None`: aliases without end.
fn chain(lines: &[Line]) -> Option<Vec<String>> {
    let mut names = vec![NAMES[0].to_owned()];
    loop {
        let end = names.last()?.clone();
        let next = lines
            .iter()
            .find(|line| line.rtype == rtype::CNAME && line.owner.eq_ignore_ascii_case(&end));
        let Some([Part::Name(target)]) = next.map(|line| line.rdata.as_slice()) else {
            return Some(names);
        };
        let target = target.to_ascii_lowercase();
        if names.contains(&target) {
            return None;
        }
        names.push(target);
    }
}

proptest! {
    /// Every record that is kept is on the chain, and none of the chain is lost.
    #[test]
    fn what_is_kept_is_the_chain_and_what_it_leads_to(
        answers in proptest::collection::vec(any_line(), 0..8),
        authorities in proptest::collection::vec(any_line(), 0..5),
        dnssec_ok in any::<bool>(),
        flags in proptest::sample::select(vec![0x8180_u16, 0x8183]),
    ) {
        let key = asked(NAMES[0], rtype::A, dnssec_ok);
        let sections: [&[Line]; 3] = [&answers, &authorities, &authorities];
        let mut message = written((NAMES[0], rtype::A), flags, sections);
        let is_usable = is_usable(&key, &message);
        let found = cleaned_twice(&key, &mut message);
        prop_assert_eq!(is_usable, found.is_ok());
        let Some(names) = chain(&answers) else {
            prop_assert_eq!(found, Err(Unusable::Aliases));
            return Ok(());
        };
        let Ok(found) = found else {
            prop_assert_eq!(found, Err(Unusable::Unrelated));
            return Ok(());
        };
        let end = names.last().unwrap();
        let read = found.read(&key);
        let owner_of = |name: &hickory_proto::rr::Name| name.to_ascii().to_ascii_lowercase();
        for record in &read.answers {
            let owner = owner_of(&record.name);
            let belongs = match u16::from(record.record_type()) {
                rtype::A => owner == *end,
                rtype::CNAME => names.contains(&owner) && owner != *end,
                rtype::DNAME => names.iter().any(|name| *name != owner
                    && (owner == "." || name.ends_with(&format!(".{owner}")))),
                rtype::RRSIG => dnssec_ok,
                _ => false,
            };
            prop_assert!(belongs, "{record:?}");
        }
        let addresses = |line: &&Line| line.rtype == rtype::A && line.owner.eq_ignore_ascii_case(end);
        let expected = answers.iter().filter(addresses).count();
        let kept = read.answers.iter().filter(|record| u16::from(record.record_type()) == rtype::A);
        prop_assert_eq!(kept.count(), expected);
        let links = read.answers.iter().filter(|record| u16::from(record.record_type()) == rtype::CNAME);
        prop_assert_eq!(links.count(), names.len() - 1);
        for record in &read.authorities {
            let owner = owner_of(&record.name);
            let encloses = owner == "." || end == &owner || end.ends_with(&format!(".{owner}"));
            let belongs = match u16::from(record.record_type()) {
                rtype::SOA => encloses && expected == 0,
                rtype::NSEC | rtype::RRSIG => dnssec_ok,
                _ => false,
            };
            prop_assert!(belongs, "{record:?}");
        }
    }

    /// RFC 1035 §4.1.4: pointers into anything that goes before.
    #[test]
    fn what_is_kept_of_broken_messages_can_be_read(
        answers in proptest::collection::vec(any_line(), 0..6),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let key = asked(NAMES[0], rtype::A, true);
        let mut message = written((NAMES[0], rtype::A), 0x8180, [&answers, &answers, &[]]);
        for (index, value) in changes {
            let at = index.index(message.len());
            message[at] = value;
        }
        if let Ok(found) = cleaned_twice(&key, &mut message) {
            let start = HEADER + key.name().len() + 4;
            let mut kept = message[..start].to_vec();
            kept.extend_from_slice(&found.records);
            let mut cursor = Cursor::new(&kept, start);
            for _ in 0..found.counts.iter().sum() {
                prop_assert!(cursor.record().is_ok());
            }
            prop_assert_eq!(cursor.position(), kept.len());
        }
    }
}
