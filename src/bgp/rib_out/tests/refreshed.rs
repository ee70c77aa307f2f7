//! Answers to a peer that wants to hear its routes again.

use proptest::prelude::*;

use super::*;

/// What goes out, each message in a word.
fn words(rib: &mut RibOut) -> Vec<String> {
    let reading = Reading {
        four_octet: true,
        internal: false,
        families: BOTH,
        ipv4_over_ipv6: true,
    };
    let messages = std::iter::from_fn(|| rib.next_message());
    let words = messages.map(|(kind, message)| {
        if kind == Kind::RouteRefresh {
            let (family, step) = message::read_route_refresh(&message[19..])
                .unwrap()
                .unwrap();
            return format!("{step:?} {}", family.name());
        }
        let update = Update::decode(&message[19..], &reading).unwrap();
        match (update.end_of_rib, &update.announced[..]) {
            (Some(family), _) => format!("end-of-rib {}", family.name()),
            (None, []) => format!("- {}", update.withdrawn[0]),
            (None, announced) => {
                let announced: Vec<_> = announced.iter().map(IpNet::to_string).collect();
                announced.join(" ")
            }
        }
    });
    words.collect()
}

fn enhanced(routes: &[Route]) -> RibOut {
    let mut rib = RibOut::default();
    rib.set_routes(routes);
    rib.open(Outlet {
        enhanced_refresh: true,
        ..outlet(false)
    });
    rib
}

/// RFC 7313 §4: BoRR, all routes, EoRR; a request before the first End-of-RIB waits for it.
#[test]
fn an_enhanced_refresh_stands_between_marks() {
    let plain = Attributes::default();
    let table = [
        route("10.0.0.1/32", &plain),
        route("10.0.0.2/32", &backup()),
        route("fd53::53/128", &plain),
    ];
    let mut rib = enhanced(&table);
    rib.refresh(Family::Ipv4);
    let first = [
        "10.0.0.1/32",
        "10.0.0.2/32",
        "fd53::53/128",
        "end-of-rib ipv4",
        "end-of-rib ipv6",
    ];
    let four = ["Begin ipv4", "10.0.0.1/32", "10.0.0.2/32", "End ipv4"];
    let six = ["Begin ipv6", "fd53::53/128", "End ipv6"];
    assert_eq!(words(&mut rib), [&first[..], &four].concat());
    rib.refresh(Family::Ipv6);
    rib.refresh(Family::Ipv4);
    assert!(rib.is_pending());
    assert_eq!(words(&mut rib), [&four[..], &six].concat());
    assert!(!rib.is_pending());
    // Nothing to tell is told too.
    rib.set_routes(&[]);
    assert_eq!(words(&mut rib).len(), 2);
    rib.refresh(Family::Ipv6);
    assert_eq!(words(&mut rib), ["Begin ipv6", "End ipv6"]);
}

/// RFC 7313 §4: requests during an answer are answered by one more; before it begins, by it.
#[test]
fn requests_during_a_refresh_are_answered_by_one_more() {
    let table = [
        route("10.0.0.1/32", &Attributes::default()),
        route("10.0.0.2/32", &backup()),
    ];
    let mut rib = enhanced(&table);
    words(&mut rib);
    for _ in 0..1000 {
        rib.refresh(Family::Ipv4);
    }
    let answer = ["Begin ipv4", "10.0.0.1/32", "10.0.0.2/32", "End ipv4"];
    let (kind, _) = rib.next_message().unwrap();
    assert_eq!(kind, Kind::RouteRefresh);
    for _ in 0..1000 {
        rib.refresh(Family::Ipv4);
    }
    assert_eq!(words(&mut rib), [&answer[1..], &answer].concat());
}

/// RFC 7313 §4: what changes during an answer is told at once, and once.
#[test]
fn a_change_during_a_refresh_is_told_once() {
    let plain = Attributes::default();
    let table = [
        route("10.0.0.1/32", &plain),
        route("10.0.0.2/32", &backup()),
        route("10.0.0.3/32", &plain),
    ];
    let mut rib = enhanced(&table);
    words(&mut rib);
    rib.refresh(Family::Ipv4);
    rib.next_message().unwrap();
    rib.set_routes(&[
        table[0].clone(),
        route("10.0.0.3/32", &backup()),
        route("10.0.0.4/32", &plain),
    ]);
    assert_eq!(
        words(&mut rib),
        [
            "- 10.0.0.2/32",
            "10.0.0.3/32",
            "10.0.0.4/32",
            "10.0.0.1/32",
            "End ipv4"
        ]
    );
}

/// A peer that believes what it reads, and drops what an answer between marks did not name.
#[derive(Default)]
struct Believer {
    table: BTreeMap<IpNet, Option<u32>>,
    stale: BTreeSet<IpNet>,
}

impl Believer {
    fn hear(&mut self, kind: Kind, message: &[u8]) {
        if kind == Kind::RouteRefresh {
            let read = message::read_route_refresh(&message[19..]);
            let (family, step) = read.unwrap().unwrap();
            if step == RefreshStep::Begin {
                let known = self.table.keys().copied();
                self.stale = known.filter(|net| Family::of(net) == family).collect();
            }
            for prefix in std::mem::take(&mut self.stale) {
                match step {
                    RefreshStep::Begin => self.stale.insert(prefix),
                    RefreshStep::End => self.table.remove(&prefix).is_some(),
                    RefreshStep::Request => panic!("nobody asks the believer"),
                };
            }
            return;
        }
        let reading = Reading {
            four_octet: true,
            internal: false,
            families: BOTH,
            ipv4_over_ipv6: false,
        };
        let update = Update::decode(&message[19..], &reading).unwrap();
        assert_eq!(update.treated_as_withdraw, None);
        for prefix in &update.withdrawn {
            self.table.remove(prefix);
        }
        for prefix in &update.announced {
            self.table.insert(*prefix, update.med);
            self.stale.remove(prefix);
        }
    }
}

const PREFIXES: [&str; 5] = [
    "10.0.0.1/32",
    "10.0.0.2/32",
    "10.0.0.0/30",
    "fd53::1/128",
    "fd53::2/128",
];

#[derive(Clone, Debug)]
enum Order {
    /// A metric for each prefix that is wanted.
    Routes([Option<u32>; PREFIXES.len()]),
    Refresh(Family),
    Write(usize),
}

fn any_order() -> impl Strategy<Value = Order> {
    let metric = proptest::option::of(0_u32..3);
    prop_oneof![
        proptest::array::uniform5(metric).prop_map(Order::Routes),
        any::<bool>().prop_map(|v4| Order::Refresh(Family::ALL[usize::from(v4)])),
        (1_usize..6).prop_map(Order::Write),
    ]
}

proptest! {
    /// RFC 7313 §4: in whatever order tables, requests and writes come, the peer ends with the table
    /// that it should have, and it never holds a prefix that it was never told.
    #[test]
    fn the_peer_ends_with_the_wanted_table(
        orders in proptest::collection::vec(any_order(), 0..40),
        enhanced_refresh in any::<bool>(),
    ) {
        let mut rib = RibOut::default();
        rib.open(Outlet { enhanced_refresh, ..outlet(false) });
        let mut peer = Believer::default();
        let mut wanted = [None; PREFIXES.len()];
        for order in orders {
            match order {
                Order::Routes(metrics) => {
                    wanted = metrics;
                    let routes: Vec<Route> = PREFIXES.iter().zip(metrics)
                        .filter_map(|(prefix, med)| {
                            let attributes = Attributes { med: Some(med?), ..Attributes::default() };
                            Some(route(prefix, &attributes))
                        })
                        .collect();
                    rib.set_routes(&routes);
                }
                Order::Refresh(family) => rib.refresh(family),
                Order::Write(count) => {
                    for _ in 0..count {
                        if let Some((kind, message)) = rib.next_message() {
                            peer.hear(kind, &message);
                        }
                    }
                }
            }
        }
        while let Some((kind, message)) = rib.next_message() {
            prop_assert!(enhanced_refresh || kind == Kind::Update);
            peer.hear(kind, &message);
        }
        prop_assert!(!rib.is_pending());
        let expected: BTreeMap<IpNet, Option<u32>> = PREFIXES.iter().zip(wanted)
            .filter(|(_, med)| med.is_some())
            .map(|(prefix, med)| (prefix.parse().unwrap(), med))
            .collect();
        prop_assert_eq!(rib.advertised(), expected.len());
        prop_assert_eq!(peer.table, expected);
    }
}
