//! How upstreams start: every one as up.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use tokio::sync::Notify;

use super::super::DialectSettings;
use super::super::hash_key::HashKey;
use super::super::quality::Quality;
use super::{ResolvedZone, State, Upstreams, Zone, ZoneTable};

impl Upstreams {
    /// All upstreams start as up, so that the first questions need not wait for a probe.
    ///
    /// Without a root zone among `zones` one without upstreams is added: questions that belong to
    /// no other zone then fail at once.
    #[must_use]
    pub fn new(zones: &[ResolvedZone], started: Instant) -> Self {
        Self::with_key(zones, started, HashKey::drawn())
    }

    /// The same with a key that is not one of chance: see [`HashKey::numbered`].
    #[must_use]
    pub fn with_key(zones: &[ResolvedZone], started: Instant, key: HashKey) -> Self {
        let mut table = Vec::with_capacity(zones.len() + 1);
        let mut states = Vec::new();
        for zone in zones {
            let position = table.len();
            let mut add = |addresses: &[SocketAddr], is_sibling| {
                let first = states.len();
                let new = addresses
                    .iter()
                    .map(|&address| State::new(address, position, is_sibling, key));
                states.extend(new);
                first..states.len()
            };
            table.push(Zone {
                apex: zone.zone.to_ascii_lowercase(),
                text: zone.zone_text.clone(),
                critical: zone.critical,
                dialect: zone.dialect,
                upstreams: add(&zone.upstreams, false),
                siblings: add(&zone.siblings, true),
                own_siblings: zone.own_siblings.as_slice().into(),
            });
        }
        let root = table
            .iter()
            .position(|zone| zone.apex == [0])
            .unwrap_or_else(|| {
                table.push(Zone {
                    apex: vec![0],
                    text: ".".to_owned(),
                    critical: false,
                    dialect: DialectSettings::default(),
                    upstreams: 0..0,
                    siblings: 0..0,
                    own_siblings: Box::default(),
                });
                table.len() - 1
            });
        Self {
            started,
            table: ZoneTable::new(table.iter().map(|zone| zone.apex.as_slice()), root),
            quality: Quality::new(
                table
                    .iter()
                    .map(|zone| (zone.apex.as_slice(), zone.critical)),
                started,
                key,
            ),
            zones: table,
            states,
            saturated: AtomicU64::new(0),
            losses: AtomicU64::new(0),
            ways: AtomicU64::new(0),
            flips: Notify::new(),
        }
    }
}
