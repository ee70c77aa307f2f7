//! Which upstream a question goes to, and what is known of each: shared by all workers.
//!
//! Atomics only, no lock on the query path; time is an argument. Evidence comes in (answers, late
//! questions, errors of the network), an order to ask in comes out.
//!
//! How a silent upstream is found out, from the moment it falls silent:
//! 1. its first question is not answered within [`Upstreams::hedge_after`] (its own slowest
//!    twentieth, 20 to 400 ms), nor within [`Upstreams::patience`]: it is *suspected*, and all further
//!    questions ask others first;
//! 2. upkeep probes it and the others of the zone at once and every 75 ms;
//! 3. when the third probe has gone unanswered (300 ms each) its breaker opens, some 450 ms after the
//!    suspicion. An upstream that nobody asks gets there by its one probe a second.
//!
//! One that answers everything by SERVFAIL is found out in some 250 ms: see `evidence`.
//!
//! One lost packet or one slow name raises a suspicion that the next probe clears. NXDOMAIN and
//! NODATA are answers like any other; SERVFAIL and REFUSED are about a name, unless
//! [`Upstreams::poor_answer`] finds otherwise. What answers, but loses much, is slow or is
//! contradicted by others, is asked after those that do not.
//!
//! How a recovered upstream comes back: at most 4 s later (half a second, when its zone has no other)
//! a probe is answered and closes its breaker ([`Breaker`]); three more probes, 75 ms apart, show that
//! this was no chance.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::DialectSettings;
use super::quality::Quality;

mod breaker;
mod evidence;
mod last_resort;
mod loss;
pub mod metrics;
pub mod pacing;
mod percentile;
mod report;
mod rtt;
mod signs;
mod speed;
mod start;
mod state;
mod tcp;
mod zones;

use pacing::Condition;
use state::State;
use zones::ZoneTable;

pub use breaker::{Breaker, is_acceptable};
pub use evidence::Evidence;
pub use last_resort::{Errand, RATION_BURST, RATION_PER_SECOND, SIBLINGS_NAMED};
pub use report::{FailureKind, UpstreamStatus, ZoneStatus};
pub use state::MISSES_TO_GO_DOWN;
pub use zones::ResolvedZone;

/// The next upstream is asked after this time at the soonest.
pub const HEDGE_MIN: Duration = Duration::from_millis(20);
/// The next upstream is asked after this time at the latest.
pub const HEDGE_MAX: Duration = Duration::from_millis(400);
/// A question is past its deadline after SRTT + 4·RTTVAR, but never sooner than this.
pub const PATIENCE_MIN: Duration = Duration::from_millis(20);
/// A question is past its deadline after this time at most, and when nothing is known yet; unless
/// [`Upstreams::hedge_after`] is longer still.
pub const PATIENCE_MAX: Duration = Duration::from_millis(300);
/// A probe counts as unanswered after SRTT + 4·RTTVAR of probes, but never sooner than this.
pub const PROBE_PATIENCE_MIN: Duration = Duration::from_millis(300);
/// A probe counts as unanswered after this time at most.
pub const PROBE_PATIENCE_MAX: Duration = Duration::from_secs(1);
/// The same while no probe has been answered yet.
pub const PROBE_PATIENCE_UNKNOWN: Duration = Duration::from_millis(500);
/// Upstreams within this time of the fastest (or half as much again) count as equally fast.
pub const SPEED_BAND: Duration = Duration::from_millis(10);

/// A forward zone of one [`Upstreams`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ZoneIndex(usize);

impl ZoneIndex {
    /// From 0 to the number of zones, for tables beside [`Upstreams`].
    #[must_use]
    pub fn position(self) -> usize {
        self.0
    }
}

/// An upstream of one zone of one [`Upstreams`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamIndex(usize);

impl UpstreamIndex {
    /// From 0 to the number of upstreams, for tables beside [`Upstreams`].
    #[must_use]
    pub fn position(self) -> usize {
        self.0
    }
}

/// What was asked, for the round-trip times are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A client's question, which the upstream may have to resolve first.
    Question,
    /// The apex of the zone.
    Probe,
}

/// All forward zones and their upstreams.
#[derive(Debug)]
pub struct Upstreams {
    started: Instant,
    zones: Vec<Zone>,
    table: ZoneTable,
    states: Vec<State>,
    saturated: AtomicU64,
    losses: AtomicU64,
    /// How often the node's way into the network has changed.
    ways: AtomicU64,
    flips: Notify,
    quality: Quality,
}

#[derive(Debug)]
struct Zone {
    apex: Vec<u8>,
    text: String,
    critical: bool,
    dialect: DialectSettings,
    upstreams: Range<usize>,
    siblings: Range<usize>,
    own_siblings: Box<[IpAddr]>,
}

impl Upstreams {
    /// The closest enclosing zone of a wire name in lower case. The root encloses everything.
    #[must_use]
    pub fn zone_for(&self, name: &[u8]) -> ZoneIndex {
        ZoneIndex(self.table.closest(name))
    }

    /// The zone that a question belongs to: DS at an apex is asked of the zone above it.
    #[must_use]
    pub fn zone_for_question(&self, name: &[u8], qtype: u16) -> ZoneIndex {
        ZoneIndex(self.table.closest_for_question(name, qtype))
    }

    /// Whether an upstream of the zone is believed to answer. Siblings do not count.
    #[must_use]
    pub fn zone_usable(&self, zone: ZoneIndex) -> bool {
        self.members(zone).any(|index| self.is_up(index))
    }

    /// Whether the zone has upstreams, and all of them are believed to answer. Siblings do not count.
    #[must_use]
    pub fn zone_is_well(&self, zone: ZoneIndex) -> bool {
        self.zone_usable(zone) && self.members(zone).all(|index| self.is_up(index))
    }

    /// Whether each upstream of every critical zone has answered a probe, or is believed to be dead.
    /// Siblings do not count.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let critical = (0..self.zones.len()).filter(|&zone| self.zones[zone].critical);
        critical
            .flat_map(|zone| self.members(ZoneIndex(zone)))
            .all(|index| self.state(index).median().is_some() || !self.is_up(index))
    }

    /// Every zone with its usability now.
    pub fn zones(&self) -> impl Iterator<Item = ZoneStatus<'_>> {
        self.zones
            .iter()
            .enumerate()
            .map(|(position, zone)| ZoneStatus {
                zone: &zone.text,
                critical: zone.critical,
                usable: self.zone_usable(ZoneIndex(position)),
                last_resort: self.has_last_resort(ZoneIndex(position)),
            })
    }

    /// What came of the questions of clients, by position of the zone.
    #[must_use]
    pub fn quality(&self) -> &Quality {
        &self.quality
    }

    /// Wakes its one waiter whenever an upstream goes up or down: the routing thread then reads
    /// [`Upstreams::zones`] again. A change between two waits is not missed.
    #[must_use]
    pub fn flips(&self) -> &Notify {
        &self.flips
    }

    /// Fills `best_first` with the upstreams of a zone whose breakers are closed: suspected ones last,
    /// before them those that lose or are contradicted, and the fast before the slow.
    ///
    /// Upstreams within [`SPEED_BAND`] of the fastest keep the configured order: a hair's breadth
    /// must not move the load to and fro and away from a warm cache. Only probes are compared,
    /// for all upstreams get the same ones, and the first alone gets the slow names.
    pub fn order(&self, zone: ZoneIndex, best_first: &mut Vec<UpstreamIndex>) {
        best_first.clear();
        best_first.extend(self.members(zone).filter(|&index| self.is_up(index)));
        if best_first.len() < 2 {
            return;
        }
        let times = best_first.iter().map(|&index| self.state(index).median());
        let band = times
            .flatten()
            .min()
            .map(|fastest| fastest + SPEED_BAND.max(fastest / 2));
        best_first.sort_by_key(|&index| {
            let state = self.state(index);
            let slower = state.median().filter(|&time| Some(time) > band);
            (state.is_suspected(), state.is_second_choice(), slower)
        });
    }

    /// How often a breaker has opened, of a sibling too: whoever waits for upstreams looks again when it
    /// grows.
    #[must_use]
    pub fn losses(&self) -> u64 {
        self.losses.load(Ordering::Acquire)
    }

    /// Whether an upstream is believed to answer.
    #[must_use]
    pub fn is_up(&self, index: UpstreamIndex) -> bool {
        self.state(index).is_up()
    }

    /// The state of its breaker.
    #[must_use]
    pub fn breaker(&self, index: UpstreamIndex) -> Breaker {
        self.state(index).breaker()
    }

    /// The same with the shades between. A sibling whose upstreams are dead too counts as down: it has
    /// to be seen when they are back.
    #[must_use]
    pub fn condition(&self, index: UpstreamIndex) -> Condition {
        let state = self.state(index);
        if state.ration.is_dry() {
            Condition::Down
        } else if !state.is_up() {
            // A service may have thousands of siblings.
            if state.is_sibling() || self.zone_usable(ZoneIndex(state.zone)) {
                Condition::Down
            } else {
                Condition::Dark
            }
        } else if state.is_suspected() {
            Condition::Suspected
        } else if state.loss.is_doubted() {
            Condition::Doubted
        } else {
            Condition::Good
        }
    }

    /// Where an upstream is.
    #[must_use]
    pub fn address(&self, index: UpstreamIndex) -> SocketAddr {
        self.state(index).address
    }

    /// All upstreams of all zones.
    pub fn indexes(&self) -> impl Iterator<Item = UpstreamIndex> + use<> {
        (0..self.states.len()).map(UpstreamIndex)
    }

    /// The apex of an upstream's zone in wire form.
    #[must_use]
    pub fn apex(&self, index: UpstreamIndex) -> &[u8] {
        &self.zone(self.state(index)).apex
    }

    /// How an upstream is talked to.
    #[must_use]
    pub fn dialect(&self, index: UpstreamIndex) -> DialectSettings {
        self.zone(self.state(index)).dialect
    }

    /// The apex of an upstream's zone as text.
    #[must_use]
    pub fn zone_text(&self, index: UpstreamIndex) -> &str {
        &self.zone(self.state(index)).text
    }

    /// How long a question to this upstream may take before the next one is asked: all but its slowest
    /// twentieth are answered by then.
    #[must_use]
    pub fn hedge_after(&self, index: UpstreamIndex) -> Duration {
        let state = self.state(index);
        match state.answer_times.p95() {
            Some(time) => time.clamp(HEDGE_MIN, HEDGE_MAX),
            None => state.usual_time(),
        }
    }

    /// How long a question to this upstream may take before it is a reason for suspicion, to be told by
    /// [`Upstreams::overdue`]; never shorter than [`Upstreams::hedge_after`].
    #[must_use]
    pub fn patience(&self, index: UpstreamIndex) -> Duration {
        self.state(index).usual_time().max(self.hedge_after(index))
    }

    /// Whether a question to this upstream is past its deadline and nothing was answered since it was
    /// sent.
    #[must_use]
    pub fn is_silent(&self, index: UpstreamIndex) -> bool {
        self.state(index).is_suspected()
    }

    /// After which time a probe of this upstream raises a suspicion, and after which it counts as
    /// unanswered.
    #[must_use]
    pub fn probe_patience(&self, index: UpstreamIndex) -> (Duration, Duration) {
        let time = self.state(index).probe_rtt.patience();
        (
            time.map_or(PATIENCE_MAX, |time| time.clamp(PATIENCE_MIN, PATIENCE_MAX)),
            time.map_or(PROBE_PATIENCE_UNKNOWN, |time| {
                time.clamp(PROBE_PATIENCE_MIN, PROBE_PATIENCE_MAX)
            }),
        )
    }

    /// Wakes the upkeep of this upstream, its one waiter, when a probe may be due sooner.
    #[must_use]
    pub fn wake(&self, index: UpstreamIndex) -> &Notify {
        &self.state(index).wake
    }

    /// Every upstream of every zone, in configured order.
    #[must_use]
    pub fn status(&self) -> Vec<UpstreamStatus> {
        self.states
            .iter()
            .map(|state| UpstreamStatus {
                address: state.address,
                zone: self.zone(state).text.clone(),
                up: state.is_up(),
                suspected: state.is_suspected(),
                breaker: state.breaker(),
                is_sibling: state.is_sibling(),
                is_dry: state.ration.is_dry(),
                denied: state.ration.denied(),
                tcp_closed: state.tcp.is_closed(),
                loss_permille: state.loss.permille(),
                is_second_choice: state.is_second_choice(),
                p95: state.answer_times.p95(),
                openings: state.openings(),
                srtt: state.probe_rtt.smoothed(),
                in_flight: state.in_flight.load(Ordering::Relaxed),
                queries: state.queries.load(Ordering::Relaxed),
                timeouts: state.timeouts.load(Ordering::Relaxed),
                since: self.started + Duration::from_micros(state.since_us()),
            })
            .collect()
    }

    fn members(&self, zone: ZoneIndex) -> impl Iterator<Item = UpstreamIndex> + use<> {
        self.zones[zone.0].upstreams.clone().map(UpstreamIndex)
    }

    fn zone(&self, state: &State) -> &Zone {
        &self.zones[state.zone]
    }

    /// Indexes are made by this value alone and stay valid as long as it lives.
    fn state(&self, index: UpstreamIndex) -> &State {
        &self.states[index.0]
    }

    /// Never 0, which stands for "no answer yet".
    fn micros(&self, at: Instant) -> u64 {
        let since_start = at.saturating_duration_since(self.started);
        u64::try_from(since_start.as_micros())
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }
}

#[cfg(test)]
mod tests;
