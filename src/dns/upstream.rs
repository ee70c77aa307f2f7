//! Which upstream a question goes to, and what is known of each: shared by all workers.
//!
//! Atomics only, no lock on the query path; time is an argument. Evidence comes in (answers, late
//! questions, errors of the network), an order to ask in comes out.
//!
//! How a silent upstream is found out, from the moment it falls silent:
//! 1. its first question gets late after [`Upstreams::patience`] (20 to 300 ms) and goes to the
//!    next upstream; the silent one is *suspected*: all further questions ask others first;
//! 2. upkeep probes it and the others of the zone at once and every 75 ms;
//! 3. when the third probe has gone unanswered (300 ms each) it is *down*, some 450 ms after the
//!    suspicion. An upstream that nobody asks gets there by its one probe a second.
//!
//! One lost packet or one slow name raises a suspicion that the next probe clears. NXDOMAIN and
//! NODATA are answers like any other; SERVFAIL and REFUSED are about a name and say that the
//! upstream lives.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::DialectSettings;

pub mod metrics;
pub mod pacing;
mod report;
mod rtt;
mod state;
mod zones;

use pacing::Condition;
use state::{Effect, State};
use zones::ZoneTable;

pub use report::{FailureKind, UpstreamStatus, ZoneStatus};
pub use state::MISSES_TO_GO_DOWN;
pub use zones::ResolvedZone;

/// A question is late after SRTT + 4·RTTVAR, but never sooner than this.
pub const PATIENCE_MIN: Duration = Duration::from_millis(20);
/// A question is late after this time at most, and when nothing is known yet.
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
    flips: Notify,
}

#[derive(Debug)]
struct Zone {
    apex: Vec<u8>,
    text: String,
    critical: bool,
    dialect: DialectSettings,
    upstreams: std::ops::Range<usize>,
}

impl Upstreams {
    /// All upstreams start as up, so that the first questions need not wait for a probe.
    ///
    /// Without a root zone among `zones` one without upstreams is added: questions that belong to
    /// no other zone then fail at once.
    #[must_use]
    pub fn new(zones: &[ResolvedZone], started: Instant) -> Self {
        let mut table = Vec::with_capacity(zones.len() + 1);
        let mut states = Vec::new();
        for zone in zones {
            let first = states.len();
            let position = table.len();
            states.extend(
                zone.upstreams
                    .iter()
                    .map(|&address| State::new(address, position)),
            );
            table.push(Zone {
                apex: zone.zone.to_ascii_lowercase(),
                text: zone.zone_text.clone(),
                critical: zone.critical,
                dialect: zone.dialect,
                upstreams: first..states.len(),
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
                    upstreams: states.len()..states.len(),
                });
                table.len() - 1
            });
        Self {
            started,
            table: ZoneTable::new(table.iter().map(|zone| zone.apex.as_slice()), root),
            zones: table,
            states,
            saturated: AtomicU64::new(0),
            losses: AtomicU64::new(0),
            flips: Notify::new(),
        }
    }

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

    /// Whether an upstream of the zone is believed to answer.
    #[must_use]
    pub fn zone_usable(&self, zone: ZoneIndex) -> bool {
        self.members(zone).any(|index| self.is_up(index))
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
            })
    }

    /// Wakes its one waiter whenever an upstream goes up or down: the routing thread then reads
    /// [`Upstreams::zones`] again. A change between two waits is not missed.
    #[must_use]
    pub fn flips(&self) -> &Notify {
        &self.flips
    }

    /// Fills `best_first` with the upstreams of a zone that are up: first those without suspicion,
    /// then the fast.
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
        let times = best_first.iter().map(|&index| self.state(index).smoothed());
        let band = times
            .flatten()
            .min()
            .map(|fastest| fastest + SPEED_BAND.max(fastest / 2));
        best_first.sort_by_key(|&index| {
            let state = self.state(index);
            let slower = state.smoothed().filter(|&time| Some(time) > band);
            (state.is_suspected(), slower)
        });
    }

    /// How often an upstream has gone down: whoever waits for upstreams looks again when it grows.
    #[must_use]
    pub fn losses(&self) -> u64 {
        self.losses.load(Ordering::Acquire)
    }

    /// Whether an upstream is believed to answer.
    #[must_use]
    pub fn is_up(&self, index: UpstreamIndex) -> bool {
        self.state(index).is_up()
    }

    /// The same with the shade between.
    #[must_use]
    pub fn condition(&self, index: UpstreamIndex) -> Condition {
        let state = self.state(index);
        if !state.is_up() {
            Condition::Down
        } else if state.is_suspected() {
            Condition::Suspected
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

    /// How long a question to this upstream may take before the next one is asked.
    #[must_use]
    pub fn patience(&self, index: UpstreamIndex) -> Duration {
        self.state(index)
            .question_rtt
            .patience()
            .map_or(PATIENCE_MAX, |time| time.clamp(PATIENCE_MIN, PATIENCE_MAX))
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

    /// A client's question is sent: it is in flight until [`Upstreams::settled`].
    pub fn asked(&self, index: UpstreamIndex) {
        let state = self.state(index);
        state.queries.fetch_add(1, Ordering::Relaxed);
        state.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// So many clients' questions to this upstream are no longer waited for.
    pub fn settled(&self, index: UpstreamIndex, questions: u32) {
        let state = self.state(index);
        state.in_flight.fetch_sub(questions, Ordering::Relaxed);
    }

    /// A matching answer arrived: whatever it says, the upstream lives.
    pub fn answered(&self, index: UpstreamIndex, asked: Asked, sent: Instant, now: Instant) {
        let state = self.state(index);
        let took = now.saturating_duration_since(sent);
        match asked {
            Asked::Question => state.question_rtt.sample(took),
            Asked::Probe => self.sample_probe(index, sent, took),
        }
        let effect = state.answered(self.micros(now));
        self.tell(state, effect);
    }

    /// After an outage of the link the probes of the outage are answered late and all at once. They
    /// must not make the next outage be noticed a second later: of such a burst one counts, and
    /// never for more than the present patience, which then grows by less than twice.
    fn sample_probe(&self, index: UpstreamIndex, sent: Instant, took: Duration) {
        let (state, (_, patience)) = (self.state(index), self.probe_patience(index));
        if took <= patience || !state.answered_since(self.micros(sent)) {
            state.probe_rtt.sample(took.min(patience));
        }
    }

    /// Something sent at `sent` is late: suspicion, if nothing was answered since.
    pub fn overdue(&self, index: UpstreamIndex, asked: Asked, sent: Instant) {
        let state = self.state(index);
        if asked == Asked::Question {
            state.timeouts.fetch_add(1, Ordering::Relaxed);
        }
        let effect = state.overdue(self.micros(sent));
        self.tell(state, effect);
    }

    /// A probe sent at `sent` counts as unanswered.
    pub fn probe_missed(&self, index: UpstreamIndex, sent: Instant, now: Instant) {
        let state = self.state(index);
        let effect = state.missed(self.micros(sent), self.micros(now));
        self.tell(state, effect);
    }

    /// The network says that nobody listens there: counts like an unanswered probe, at once.
    pub fn refused(&self, index: UpstreamIndex, now: Instant) {
        let state = self.state(index);
        state.count_failure(FailureKind::Refused);
        let effect = state.missed(self.micros(now), self.micros(now));
        self.tell(state, effect);
    }

    /// Counts a failure that says nothing about whether the upstream lives.
    pub fn failed(&self, index: UpstreamIndex, kind: FailureKind) {
        self.state(index).count_failure(kind);
    }

    /// How often a kind of failure was counted.
    #[must_use]
    pub fn failures(&self, index: UpstreamIndex, kind: FailureKind) -> u64 {
        self.state(index).failures(kind)
    }

    /// A worker had too many questions under way.
    pub fn count_saturated(&self) {
        self.saturated.fetch_add(1, Ordering::Relaxed);
    }

    /// How often a worker had too many questions under way.
    #[must_use]
    pub fn saturated(&self) -> u64 {
        self.saturated.load(Ordering::Relaxed)
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
                srtt: state.smoothed(),
                in_flight: state.in_flight.load(Ordering::Relaxed),
                queries: state.queries.load(Ordering::Relaxed),
                timeouts: state.timeouts.load(Ordering::Relaxed),
                since: self.started + Duration::from_micros(state.since_us()),
            })
            .collect()
    }

    fn tell(&self, state: &State, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            // The others of the zone are looked at too: they are needed now.
            Effect::Suspected => {
                for index in self.zone(state).upstreams.clone() {
                    self.state(UpstreamIndex(index)).wake.notify_one();
                }
            }
            Effect::WentDown => {
                self.losses.fetch_add(1, Ordering::Release);
                self.tell_flip(state);
            }
            Effect::CameUp => self.tell_flip(state),
        }
    }

    fn tell_flip(&self, state: &State) {
        state.wake.notify_one();
        self.flips.notify_one();
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
