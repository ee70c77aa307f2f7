//! What survives a restart: between the state file and health.
//!
//! The file is read, and marked as that of a running process, before anything can be announced. Later
//! the routing thread only says what should be in it; a thread of its own writes.

use std::path::Path;
use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::announce::ServiceSettings;
use crate::health::{DrainOrder, Family, Health, Memory, Target, TargetMemory};
use crate::state::keeper::{Keeper, KeeperError, Wish};
use crate::state::metrics::Metrics;
use crate::state::{self, State};
use crate::telemetry::{self, TelemetryError};

/// Health is asked what it remembers this often.
const SPACING: Duration = Duration::from_secs(1);
/// A clock that was put right by more than this makes what was written wrong.
const CLOCK_STEP_MS: u64 = 1_000;

/// What should be in the file, and what was.
pub(super) struct Records {
    names: Vec<String>,
    /// Some instant that is always the same.
    origin: Instant,
    /// As the predecessor left it, with what is no more configured left out.
    found: State,
    /// Until it has begun.
    keeper: Option<Keeper>,
    wishes: Option<watch::Sender<Wish>>,
    noted_at: Option<Instant>,
    last: Option<Note>,
    urgency: u64,
    warning: Option<String>,
    metrics: Option<Metrics>,
}

/// What was wished for last: in instants, for the same ones are other times when the clock is put right.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Note {
    /// Faults and promotions.
    targets: Vec<(Target, Moments, Moments)>,
    drains: Vec<(DrainOrder, Instant)>,
    /// Unix time of the origin.
    origin_ms: u64,
}

/// None where the clock of the host does not go back so far.
type Moments = Vec<Option<Instant>>;

/// The time as an instant and as milliseconds since 1970.
#[derive(Clone, Copy)]
struct Clock {
    now: Instant,
    unix_ms: u64,
}

impl Clock {
    fn of(now: Instant) -> Self {
        Self {
            now,
            unix_ms: milliseconds(super::status::unix_time()),
        }
    }

    fn ms_of(self, at: Instant) -> u64 {
        let ahead = milliseconds(at.saturating_duration_since(self.now));
        let behind = milliseconds(self.now.saturating_duration_since(at));
        self.unix_ms.saturating_add(ahead).saturating_sub(behind)
    }

    fn age_of(self, at_ms: u64) -> Duration {
        Duration::from_millis(self.unix_ms.saturating_sub(at_ms))
    }
}

/// Reads the state in `directory` for these services. Without services, without a directory or with one
/// that is of no use, nothing is kept; then the node runs all the same.
///
/// # Errors
/// `metrics` has those of the state already.
pub(super) fn open(
    directory: Option<&Path>,
    services: &[ServiceSettings],
    metrics: &telemetry::Metrics,
    now: Instant,
) -> Result<Records, TelemetryError> {
    let names = services.iter().map(|s| s.name.clone()).collect();
    let mut records = Records::nothing(names, now);
    let Some(directory) = directory.filter(|_| !services.is_empty()) else {
        return Ok(records);
    };
    let metrics = Metrics::register(metrics.registry())?;
    records.metrics = Some(metrics.clone());
    match Keeper::open(directory, metrics) {
        Ok((keeper, found)) => {
            records.take(found, services, Clock::of(now));
            if keeper.has_lost() {
                records.warning = Some(format!(
                    "state in {} was not readable: look at what should be drained",
                    directory.display()
                ));
            }
            records.keeper = Some(keeper);
        }
        Err(error) => records.go_without(directory, error, services, Clock::of(now)),
    }
    Ok(records)
}

impl Records {
    fn nothing(names: Vec<String>, origin: Instant) -> Self {
        Self {
            names,
            origin,
            found: State::default(),
            keeper: None,
            wishes: None,
            noted_at: None,
            last: None,
            urgency: 0,
            warning: None,
            metrics: None,
        }
    }

    /// Nothing can be written there; what is there counts all the same, for a drain must not be forgotten.
    fn go_without(
        &mut self,
        directory: &Path,
        error: KeeperError,
        services: &[ServiceSettings],
        clock: Clock,
    ) {
        tracing::error!(%error, ?directory, "state is not kept: drains do not survive a restart");
        let directory = directory.display();
        let mut warning = format!("state is not kept in {directory}: {error}");
        match error {
            KeeperError::InUse { found, .. } => {
                warning.push_str("; its drains hold here too");
                // The other process runs: it has not crashed.
                let found = State {
                    running: false,
                    ..*found
                };
                self.take(found, services, clock);
            }
            KeeperError::Io(_) | KeeperError::State(_) => {
                warning.push_str("; whether anything was drained is not known");
            }
        }
        self.warning = Some(warning);
    }

    fn take(&mut self, found: State, services: &[ServiceSettings], clock: Clock) {
        let was_running = found.running;
        self.found = configured(found.plausible(clock.unix_ms), services);
        if was_running {
            tracing::warn!("the last run did not end in good order: that counts as a fault");
            add_fault(&mut self.found, services, clock.unix_ms);
        }
        self.found.running = true;
        self.found.pid = process::id();
    }

    /// Marks the file as that of a running process, the last thing before anything can be announced: a
    /// start that fails is no crash. What it returns writes, and is to be run until [`Records`] is
    /// dropped.
    pub(super) fn begin(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let mut keeper = self.keeper.take();
        if let Some(keeper) = &mut keeper
            && let Err(error) = keeper.write(&self.found)
        {
            tracing::warn!(%error, "state not written yet");
        }
        let (sender, wishes) = watch::channel(Wish::default());
        self.wishes = keeper.is_some().then_some(sender);
        async move {
            if let Some(keeper) = keeper {
                keeper.run(wishes).await;
            }
        }
    }

    /// Tells a new [`Health`] what was before.
    pub(super) fn restore(&self, now: Instant, health: &mut Health) {
        let clock = Clock::of(now);
        health.recall(now, &self.memory(clock));
        for drain in &self.found.drains {
            let service = match &drain.service {
                None => None,
                Some(name) => match self.position(name) {
                    Some(position) => Some(position),
                    None => continue,
                },
            };
            let (who, reason) = (drain.who.as_str(), drain.reason.as_str());
            let left_s = drain
                .until_ms
                .map(|at| at.saturating_sub(clock.unix_ms) / 1000);
            let service_name = drain.service.as_deref();
            tracing::info!(service = service_name, who, reason, left_s, "still drained");
            let until = drain
                .until_ms
                .map(|at| now + Duration::from_millis(at.saturating_sub(clock.unix_ms)));
            let order = DrainOrder {
                service,
                who: who.into(),
                reason: reason.into(),
                until,
            };
            health.restore_drain(now, &order, clock.age_of(drain.since_ms));
        }
    }

    fn memory(&self, clock: Clock) -> Memory {
        let ages = |times: &[u64]| times.iter().map(|at| clock.age_of(*at)).collect();
        let targets = self.found.targets.iter().filter_map(|kept| {
            let target = Target {
                service: self.position(&kept.service)?,
                family: family(&kept.family)?,
            };
            let memory = TargetMemory {
                faults: ages(&kept.faults_ms),
                promotions: ages(&kept.promotions_ms),
            };
            Some((target, memory))
        });
        targets.collect()
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Sees to it that what is new is written, soon.
    pub(super) fn note(&mut self, now: Instant, health: &Health) {
        let is_due = self
            .noted_at
            .is_none_or(|at| now.saturating_duration_since(at) >= SPACING);
        if self.wishes.is_some() && is_due {
            self.noted_at = Some(now);
            self.note_by(Clock::of(now), health);
        }
    }

    fn note_by(&mut self, clock: Clock, health: &Health) {
        let note = self.present(health, clock);
        if self.last.as_ref() != Some(&note) {
            self.wish(note, true, clock);
        }
    }

    /// Sees to it that everything is written, at once.
    pub(super) fn note_at_once(&mut self, now: Instant, health: &Health) {
        self.urgency += 1;
        let clock = Clock::of(now);
        let note = self.present(health, clock);
        self.wish(note, true, clock);
    }

    /// The same at the clean end of the process: whoever starts next need not think of a crash.
    pub(super) fn end(&mut self, now: Instant, health: &Health) {
        self.urgency += 1;
        let clock = Clock::of(now);
        let note = self.present(health, clock);
        self.wish(note, false, clock);
        self.wishes = None;
    }

    /// What is not as configured.
    pub(super) fn warning(&self) -> Option<String> {
        let has_failed = self.metrics.as_ref().is_some_and(|m| !m.is_kept());
        let late = || has_failed.then(|| "state could not be written".to_owned());
        self.warning.clone().or_else(late)
    }

    /// Why what is ordered now would be forgotten by a restart; `None`: it is kept, as far as is known, or
    /// nothing is meant to be.
    pub(super) fn unkept(&self) -> Option<String> {
        let is_kept = self.wishes.is_some() && self.metrics.as_ref().is_some_and(Metrics::is_kept);
        self.warning().filter(|_| !is_kept)
    }

    /// What is to be remembered of `health` now.
    fn present(&self, health: &Health, clock: Clock) -> Note {
        let began = |ages: &[Duration]| {
            let ages = ages.iter();
            ages.map(|age| clock.now.checked_sub(*age)).collect()
        };
        let memory = health.memory(clock.now);
        let targets = memory.iter();
        let drains = health.drains().into_iter();
        // What the clock is adjusted by, a little at a time, is no step.
        let origin_ms = clock.ms_of(self.origin);
        let known_ms = self.last.as_ref().map(|note| note.origin_ms);
        Note {
            targets: targets
                .map(|(target, kept)| (*target, began(&kept.faults), began(&kept.promotions)))
                .collect(),
            drains: drains.map(|view| (view.order, view.since)).collect(),
            origin_ms: known_ms
                .filter(|known_ms| known_ms.abs_diff(origin_ms) <= CLOCK_STEP_MS)
                .unwrap_or(origin_ms),
        }
    }

    fn wish(&mut self, note: Note, running: bool, clock: Clock) {
        let Some(wishes) = &self.wishes else {
            return;
        };
        let name = |service: usize| self.names.get(service).cloned().unwrap_or_default();
        let times = |times: &[Option<Instant>]| {
            let known = times.iter().flatten();
            known.map(|at| clock.ms_of(*at)).collect()
        };
        let targets = note.targets.iter();
        let drains = note.drains.iter();
        let state = State {
            version: state::VERSION,
            running,
            pid: process::id(),
            targets: targets
                .map(|(target, faults, promotions)| state::Target {
                    service: name(target.service),
                    family: target.family.as_str().to_owned(),
                    faults_ms: times(faults),
                    promotions_ms: times(promotions),
                })
                .collect(),
            drains: drains
                .map(|(order, since)| state::Drain {
                    service: order.service.map(name),
                    who: order.who.to_string(),
                    reason: order.reason.to_string(),
                    since_ms: clock.ms_of(*since),
                    until_ms: order.until.map(|until| clock.ms_of(until)),
                })
                .collect(),
        };
        // Nobody reads it when the keeper has panicked, which is told where it is joined.
        wishes.send_replace(Wish {
            state: Arc::new(state),
            urgency: self.urgency,
        });
        self.last = Some(note);
    }
}

/// `found` without services that are not configured any more.
fn configured(mut found: State, services: &[ServiceSettings]) -> State {
    let is_known = |name: &str| services.iter().any(|service| service.name == name);
    found.targets.retain(|target| is_known(&target.service));
    found.drains.retain(|drain| {
        let name = drain.service.as_deref();
        let is_known = name.is_none_or(is_known);
        if !is_known {
            tracing::info!(service = name, "drain of a service that is not configured");
        }
        is_known
    });
    found
}

/// One more fault of every target, now.
fn add_fault(found: &mut State, services: &[ServiceSettings], now_ms: u64) {
    for (service, address) in services
        .iter()
        .flat_map(|service| service.addresses.iter().map(move |ip| (service, *ip)))
    {
        let family = Family::of(address).as_str();
        let mut known = found.targets.iter_mut();
        let known = known.find(|t| t.service == service.name && t.family == family);
        if let Some(target) = known {
            target.faults_ms.push(now_ms);
            continue;
        }
        found.targets.push(state::Target {
            service: service.name.clone(),
            family: family.to_owned(),
            faults_ms: vec![now_ms],
            promotions_ms: Vec::new(),
        });
    }
}

fn family(text: &str) -> Option<Family> {
    [Family::V4, Family::V6]
        .into_iter()
        .find(|family| family.as_str() == text)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
