//! A neighbour's OPEN: read, compared with several own sides, and written again.
#![no_main]

use std::net::Ipv4Addr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sidestep::bgp::message::Families;
use sidestep::bgp::open::{Capability, Ipv4OverIpv6, Local, Open, negotiate};
use sidestep::bgp::{PeerAsn, Role};

const LOCAL: Local = Local {
    asn: 65053,
    identifier: Ipv4Addr::new(192, 0, 2, 1),
    hold_time_s: 9,
    families: Families::ALL,
    peer_asn: PeerAsn::External,
    role: None,
    ipv4_over_ipv6: Ipv4OverIpv6::Never,
};

fuzz_target!(|body: &[u8]| {
    let open = match Open::decode(body) {
        Ok(open) => open,
        Err(error) => {
            assert!(!error.notification().encode().is_empty());
            return;
        }
    };
    for local in [
        LOCAL,
        Local {
            peer_asn: PeerAsn::Internal,
            hold_time_s: 0,
            ..LOCAL
        },
        Local {
            asn: 4_200_000_001,
            peer_asn: PeerAsn::Number(65000),
            role: Some(Role::Customer),
            ipv4_over_ipv6: Ipv4OverIpv6::Preferred,
            ..LOCAL
        },
        Local {
            families: Families {
                ipv4: true,
                ipv6: false,
            },
            role: Some(Role::Peer),
            ipv4_over_ipv6: Ipv4OverIpv6::Required,
            ..LOCAL
        },
    ] {
        match negotiate(&local, &open) {
            Ok(agreed) => {
                let least = Duration::from_secs(3);
                assert!(agreed.hold_time.is_none_or(|time| time >= least));
                assert!(!agreed.families.is_empty());
                assert_eq!(agreed.internal, agreed.peer_asn == local.asn);
            }
            Err(error) => assert!(!error.notification().encode().is_empty()),
        }
    }
    // What is not known is not written.
    let mut known = open.clone();
    known
        .capabilities
        .retain(|capability| !matches!(capability, Capability::Other(_)));
    assert_eq!(Open::decode(&open.encode()[19..]), Ok(known));
});
