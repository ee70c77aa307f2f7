use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::*;
use crate::admin::status::neighbor::BfdState;
use crate::bfd;
use crate::bgp::connection::Opens;
use crate::bgp::message::Families;
use crate::bgp::peer::{Ends, ErrorTimes};
use crate::bgp::{GRACEFUL_SHUTDOWN, Password, Security};

fn record(remote: &str, now: Instant) -> Record {
    let remote = remote.parse().unwrap();
    Record {
        parameters: PeerParameters::new(remote, 65_053, Ipv4Addr::new(10, 0, 0, 1)),
        status: PeerStatus::new(now),
        bfd: None,
    }
}

fn told() -> Told {
    Told {
        prefix: "10.53.53.53/32".parse().unwrap(),
        next_hops: vec!["192.0.2.10".parse().unwrap()],
        as_path: vec![65_053],
        med: None,
        local_pref: None,
        communities: vec![65_001 << 16 | 100, GRACEFUL_SHUTDOWN],
        large_communities: vec![[4_200_000_000, 1, u32::MAX]],
        only_to_customer: Some(65_053),
    }
}

fn offer(hold_time_s: u16, capabilities: &[u8]) -> Option<Offer> {
    Some(Offer {
        hold_time_s,
        capabilities: capabilities.iter().copied().collect(),
    })
}

#[test]
fn an_established_session_is_told_with_both_sides_and_what_they_agreed_on() {
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let now = start + 100 * second;
    let mut record = record("192.0.2.1:179", start);
    record.parameters.security = Security {
        ttl: Ttl::Security,
        password: Password::new(b"secret"),
    };
    let status = &mut record.status;
    status.state = State::Established;
    status.since = start + 90 * second;
    status.peer_asn = Some(65_001);
    status.peer_identifier = Some(Ipv4Addr::new(192, 0, 2, 1));
    status.hold_time = Some(10 * second);
    status.families = Families::ALL;
    status.ends = Some(Ends {
        local: "192.0.2.10:41022".parse().unwrap(),
        remote: "192.0.2.1:179".parse().unwrap(),
    });
    status.opens = Opens {
        sent: offer(10, &[1, 65]),
        received: offer(180, &[1, 64]),
    };
    status.timers.hold = Some(now + 8 * second);
    // Due, and late.
    status.timers.keepalive = Some(now - second);
    status.routes = Arc::from([told()]);
    let detail = record.describe(now);
    assert_eq!(detail.summary.state, SessionState::Established);
    assert_eq!(
        (detail.summary.since_s, detail.summary.hold_time_s),
        (10, Some(10))
    );
    assert_eq!(detail.summary.announced, ["10.53.53.53/32"]);
    assert_eq!(detail.keepalive_ms, Some(3_333));
    assert_eq!(detail.timers.hold_ms, Some(8_000));
    assert_eq!(detail.timers.keepalive_ms, Some(0));
    assert_eq!(detail.timers.send_hold_ms, None);
    assert_eq!(
        (detail.local.port, detail.remote.port),
        (Some(41_022), Some(179))
    );
    assert_eq!(
        (detail.local.hold_time_s, detail.remote.hold_time_s),
        (Some(10), Some(180))
    );
    assert_eq!(detail.remote.capabilities[1].name, "graceful restart");
    assert_eq!(detail.families, [Family::Ipv4, Family::Ipv6]);
    assert_eq!(detail.routes[0].communities, ["65001:100", "65535:0"]);
    let large = &detail.routes[0].large_communities;
    assert_eq!(*large, ["4200000000:1:4294967295"]);
    assert!(detail.md5 && !detail.internal && !detail.dead_man);
    assert_eq!(detail.ttl, ttl(255, Some(255)));
    let shown = format!("{record:?}{}", serde_json::to_string(&detail).unwrap());
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn a_neighbour_that_was_never_reached_is_told_as_configured() {
    let now = Instant::now();
    let mut record = record("192.0.2.1:179", now);
    record.parameters.local = Some("192.0.2.10".parse().unwrap());
    record.parameters.peer_asn = PeerAsn::Number(65_001);
    record.parameters.security.ttl = Ttl::Multihop(3);
    record.parameters.hold_time = None;
    record.status.timers.delay_open = Some(now + Duration::from_secs(2));
    let detail = record.describe(now);
    assert_eq!(detail.summary.state, SessionState::Idle);
    assert_eq!(detail.timers.delay_open_ms, Some(2_000));
    assert_eq!(detail.summary.asn, Some(65_001));
    assert_eq!(detail.summary.hold_time_s, None);
    assert_eq!(detail.local.address.as_deref(), Some("192.0.2.10"));
    assert_eq!((detail.local.port, detail.remote.port), (None, None));
    assert_eq!(
        (detail.local.hold_time_s, detail.remote.hold_time_s),
        (Some(0), None)
    );
    assert_eq!(detail.ttl, ttl(3, None));
    assert_eq!((detail.last_end, detail.last_error_sent), (None, None));
    record.parameters.peer_asn = PeerAsn::Internal;
    assert!(record.describe(now).internal);
    record.parameters.peer_asn = PeerAsn::Number(65_053);
    assert!(record.describe(now).internal);
}

/// RFC 9003 §2: the other operator's text is kept, with when it was said.
#[test]
fn an_error_is_told_with_its_age() {
    let start = Instant::now();
    let mut record = record("192.0.2.1:179", start);
    let text = "6/2 cease: administrative shutdown: new kernel";
    record.status.last_error_received = Some(text.to_owned());
    record.status.error_times = ErrorTimes {
        received: Some(start),
        ..ErrorTimes::default()
    };
    let detail = record.describe(start + Duration::from_millis(61_500));
    let error = detail.last_error_received.unwrap();
    assert_eq!((error.text.as_str(), error.ago_s), (text, 61));
}

/// RFC 4007 §11: a link-local address says nothing without its link.
#[test]
fn a_link_local_neighbour_is_named_with_its_interface() {
    let now = Instant::now();
    let global = record("[2001:db8::1]:179", now);
    assert_eq!(global.summary(now).address, "2001:db8::1");
    let mut record = record("[fe80::1%3]:179", now);
    record.parameters.interface = Some("eth1".to_owned());
    record.status.local = Some("fe80::10".parse().unwrap());
    let detail = record.describe(now);
    assert_eq!(detail.summary.address, "fe80::1%eth1");
    assert_eq!(detail.remote.address.as_deref(), Some("fe80::1%eth1"));
    assert_eq!(detail.local.address.as_deref(), Some("fe80::10%eth1"));
}

/// RFC 7331: state and pace of both sides, what they agreed on, and what was measured.
#[test]
fn a_bfd_session_is_told_beside_its_neighbour() {
    let start = Instant::now();
    let settings = bfd::Settings {
        interval: Duration::from_millis(300),
        multiplier: 3,
        authentication: None,
    };
    let session = bfd::session::Session::new(&settings, NonZeroU32::new(7).unwrap(), 1, start);
    let mut record = record("192.0.2.1:179", start);
    record.bfd = Some(session.status());
    let detail = record.describe(start + Duration::from_secs(2));
    assert_eq!(detail.summary.bfd, Some(BfdState::Down));
    let told = detail.bfd_session.unwrap();
    assert_eq!((told.since_s, told.local.discriminator), (2, Some(7)));
    // RFC 5880 §6.8.3: no faster than one in a second before it is Up.
    assert_eq!(told.local.desired_transmit_us, Some(1_000_000));
    assert_eq!(told.local.required_receive_us, Some(300_000));
    let unknown = &told.remote;
    assert_eq!((unknown.discriminator, unknown.multiplier), (None, None));
    assert_eq!(told.detection_time_us, None);
    assert_eq!(told.last_loss.code, 0);
}
