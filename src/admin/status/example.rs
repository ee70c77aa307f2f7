//! A status for tests.

use super::*;

/// A node with everything in it, for tests.
pub(crate) fn example() -> Status {
    let family = |family, address: &str| ServiceFamily {
        family,
        address: address.parse().unwrap(),
        level: Level::Preferred,
        class: None,
        reason: "all probes are answered".into(),
        since_s: 3_725,
        level_since_s: 3_725,
        next: "stays while nothing fails".into(),
        explanation: String::new(),
        bound: true,
    };
    Status {
        node: "ams1".into(),
        version: "0.1.0".into(),
        uptime_s: 3_730,
        configuration: vec!["/etc/sidestep/sidestep.toml".into()],
        services: vec![Service {
            name: "resolver".into(),
            families: vec![
                family(Family::Ipv4, "10.53.53.53"),
                family(Family::Ipv6, "fd53::53"),
            ],
            checks: Vec::new(),
        }],
        neighbors: vec![neighbor::example().summary],
        neighbors_configured: 1,
        zones: vec![Zone {
            zone: ".".into(),
            critical: true,
            usable: true,
            upstreams: vec![
                Upstream {
                    address: "192.0.2.101:53".parse().unwrap(),
                    state: UpstreamState::Up,
                    rtt_us: Some(1_250),
                    since_s: 3_729,
                },
                Upstream {
                    address: "[2001:db8::101]:53".parse().unwrap(),
                    state: UpstreamState::Down,
                    rtt_us: None,
                    since_s: 12,
                },
            ],
            failed_percent: Some(3),
            baseline_percent: Some(2),
            canaries: Some(Canaries { good: 3, of: 3 }),
        }],
        peers: vec![peer::example()],
        cache: Cache {
            entries: 1_234,
            bytes: 5 << 20,
            limit_bytes: 256 << 20,
        },
        workers: vec![Worker {
            index: 0,
            queries: 98_765,
            heartbeat_age_ms: 4,
            dropped: 0,
        }],
        drain: None,
        lease_stale: false,
        drains: Vec::new(),
        warnings: Vec::new(),
    }
}
