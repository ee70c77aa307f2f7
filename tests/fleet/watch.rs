//! The invariants: what must hold at every step of every run. Their numbers stand in `main.rs`.

use std::collections::VecDeque;
use std::time::Duration;

use sidestep::health::{FaultClass, LEASE_VALIDITY, Level, OnSharedFault, Reason, Verdict};

use crate::setup::{Setup, Time};

/// A probe waits so long for its answer.
pub(crate) const PROBE_LIMIT: Duration = Duration::from_millis(150);
/// So much silence and BFD calls a neighbour down.
pub(crate) const DETECTION: Duration = Duration::from_millis(900);
/// From the end of a process to the router's knowledge of it, and everything that takes no time.
pub(crate) const SLACK: Duration = Duration::from_millis(50);
/// A node that is able must be announced after so long: three seconds until upstreams are given up
/// on or a session is back, five for 25 good probes, one for the probe over TCP, and one for the
/// rest.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// A node that only hears itself is not preferred after so long: four seconds until its siblings say
/// so, four and a half until it has heard that four times, and five in which they go on saying so.
pub(crate) const UNHEARD_MAX: Duration = Duration::from_millis(13_500);
/// Good probes that a node which fails again and again has to show at most.
const RISE_MAX: u32 = 25;
/// The time that the limit on changes to `preferred` by the hold-down is told for.
const TEN_MINUTES: Duration = Duration::from_secs(600);
const HOUR: Duration = Duration::from_secs(3600);
/// Answered queries are compared over so many seconds.
const CARRIED_OVER: usize = 5;

/// What is known of one node.
#[derive(Debug, Default)]
struct Watched {
    /// Since when it does not answer.
    stopped_since: Option<Time>,
    /// Since when it is able to answer, prove it and announce it.
    able_since: Option<Time>,
    /// With floors: since when its process runs and has announced something.
    standing_since: Option<Time>,
    changes: VecDeque<Time>,
    promotions: VecDeque<Time>,
}

#[derive(Debug)]
pub(crate) struct Watch {
    nodes: Vec<Watched>,
    /// What the fleet could answer at least, each second; the latest last.
    possible: VecDeque<u64>,
    /// What it has answered in all.
    answered: VecDeque<u64>,
    pub(crate) summary: Summary,
}

/// What a run was like.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) changes: usize,
    /// Of one node, in the whole run.
    pub(crate) changes_max: usize,
    pub(crate) promotions_max: usize,
    /// Answered over possible, in percent, at its worst.
    pub(crate) carried_percent_min: u64,
    pub(crate) events: u64,
}

impl Watch {
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            nodes: (0..nodes).map(|_| Watched::default()).collect(),
            possible: VecDeque::new(),
            answered: VecDeque::new(),
            summary: Summary {
                carried_percent_min: 100,
                ..Summary::default()
            },
        }
    }

    /// The longest time that a node may stay preferred after it stopped answering.
    pub(crate) fn stopped_max(setup: &Setup) -> Duration {
        let settings = &setup.settings;
        let falling = settings.interval * settings.fall;
        // The last answer explains a missing one for one interval and a half.
        let by_probes = settings.interval * 5 / 2 + falling + PROBE_LIMIT;
        let by_heartbeat = settings.interval * 2 + falling;
        by_probes.max(by_heartbeat).max(DETECTION) + setup.unread_for + SLACK
    }

    /// The longest time that anything is announced after health stopped getting its inputs.
    pub(crate) fn stale_max(setup: &Setup) -> Duration {
        LEASE_VALIDITY + 2 * setup.settings.interval + SLACK
    }

    /// Takes the truth about a node. Returns since when it has stopped, if that is news.
    pub(crate) fn truth(
        &mut self,
        now: Time,
        node: usize,
        answers: bool,
        is_able: bool,
    ) -> Option<Time> {
        let watched = &mut self.nodes[node];
        match (is_able, watched.able_since) {
            (true, None) => watched.able_since = Some(now),
            (false, Some(_)) => watched.able_since = None,
            (true, Some(_)) | (false, None) => {}
        }
        match (answers, watched.stopped_since) {
            (false, None) => {
                watched.stopped_since = Some(now);
                Some(now)
            }
            (true, Some(_)) => {
                watched.stopped_since = None;
                None
            }
            (true, None) | (false, Some(_)) => None,
        }
    }

    pub(crate) fn stopped_since(&self, node: usize) -> Option<Time> {
        self.nodes[node].stopped_since
    }

    /// A second fault begins: the time that the first one may take counts from now on.
    pub(crate) fn restart_stop(&mut self, now: Time, node: usize) -> Option<Time> {
        let stopped = self.nodes[node].stopped_since.as_mut()?;
        *stopped = now;
        Some(now)
    }

    /// Whether the node has been able for so long that it must be announced.
    pub(crate) fn is_proven(&self, now: Time, node: usize) -> bool {
        self.able_for(now, node) >= GRACE
    }

    /// How long the node has been able.
    pub(crate) fn able_for(&self, now: Time, node: usize) -> Duration {
        let since = self.nodes[node].able_since;
        since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// Takes whether floors of the node have to be announced.
    pub(crate) fn standing(&mut self, now: Time, node: usize, stands: bool) {
        let since = &mut self.nodes[node].standing_since;
        *since = since.or(Some(now)).filter(|_| stands);
    }

    /// Whether a region that reaches the node must have a route because of it.
    pub(crate) fn must_be_seen(&self, now: Time, node: usize) -> bool {
        let since = self.nodes[node].standing_since;
        let stands = since.is_some_and(|since| now.saturating_sub(since) >= GRACE);
        stands || self.is_proven(now, node)
    }

    /// Takes a verdict.
    ///
    /// # Errors
    /// What it breaks.
    pub(crate) fn verdict(
        &mut self,
        now: Time,
        node: usize,
        from: Level,
        verdict: &Verdict,
        setup: &Setup,
    ) -> Result<(), String> {
        let to = verdict.level;
        let reason = verdict.reason.to_string();
        if reason.trim().is_empty() {
            return Err(format!("node {node}: {from} → {to} without a reason"));
        }
        if to < from && (verdict.reason == Reason::Healthy || verdict.class.is_none()) {
            return Err(format!(
                "node {node}: {from} → {to} because of \"{reason}\""
            ));
        }
        let may_withdraw = setup.service.on_shared_fault == OnSharedFault::Withdraw;
        let is_withdrawn = to == Level::Withdrawn && from > to;
        if is_withdrawn && verdict.class == Some(FaultClass::Shared) && !may_withdraw {
            return Err(format!(
                "node {node} withdraws for a shared fault: {reason}"
            ));
        }
        if verdict.class == Some(FaultClass::Overload) && to != Level::Preferred {
            return Err(format!("node {node} is {to} for overload: {reason}"));
        }
        if is_withdrawn && setup.nobody_withdraws {
            return Err(format!(
                "node {node} withdraws while all have the fault: {reason}"
            ));
        }
        if from == to {
            return Ok(());
        }
        self.count(now, node, to > from && to == Level::Preferred, setup)
    }

    fn count(
        &mut self,
        now: Time,
        node: usize,
        is_promotion: bool,
        setup: &Setup,
    ) -> Result<(), String> {
        let watched = &mut self.nodes[node];
        watched.changes.push_back(now);
        self.summary.changes += 1;
        self.summary.changes_max = self.summary.changes_max.max(watched.changes.len());
        let changes = recent(&watched.changes, now, HOUR);
        let changes_max = changes_max(setup, HOUR.min(now));
        if changes > changes_max {
            return Err(format!("node {node}: {changes} changes, not {changes_max}"));
        }
        if !is_promotion {
            return Ok(());
        }
        watched.promotions.push_back(now);
        let all = watched.promotions.len();
        self.summary.promotions_max = self.summary.promotions_max.max(all);
        let limits = [
            (HOUR, setup.settings.promotions_per_hour as usize),
            (TEN_MINUTES, setup.promotions_max),
        ];
        for (window, limit) in limits {
            let promotions = recent(&watched.promotions, now, window);
            if promotions > limit {
                let window_s = window.as_secs();
                return Err(format!(
                    "node {node}: {promotions} changes to preferred in {window_s} s, not {limit}"
                ));
            }
        }
        Ok(())
    }

    /// Takes, once a second, what the whole fleet has answered in all, and how many queries per
    /// second its proven nodes could answer.
    ///
    /// # Errors
    /// How far short it falls.
    pub(crate) fn measure(
        &mut self,
        answered: u64,
        possible: u64,
        setup: &Setup,
    ) -> Result<(), String> {
        self.possible.push_back(possible);
        self.answered.push_back(answered);
        if self.answered.len() <= 2 * CARRIED_OVER {
            return Ok(());
        }
        self.possible.pop_front();
        self.answered.pop_front();
        let before = self.answered[self.answered.len() - 1 - CARRIED_OVER];
        let rate = (answered - before) / CARRIED_OVER as u64;
        let least = self.possible.iter().min().copied().unwrap_or(0);
        if let Some(percent) = (rate * 100).checked_div(least) {
            let min = &mut self.summary.carried_percent_min;
            *min = percent.min(*min);
        }
        if rate * 100 < least * setup.carried_percent {
            return Err(format!(
                "the fleet answers {rate} queries/s, and its able nodes could answer {least}"
            ));
        }
        Ok(())
    }
}

/// Level changes of a node within `time`, as the documentation of health says: a return for each 25
/// intervals and four more, the changes to `preferred`, and each of them lost once.
fn changes_max(setup: &Setup, time: Duration) -> usize {
    let proof = setup.settings.interval * RISE_MAX;
    let returns = time.as_micros() / proof.as_micros() + 4;
    2 * returns as usize + 3 * setup.settings.promotions_per_hour as usize + 2
}

fn recent(times: &VecDeque<Time>, now: Time, window: Duration) -> usize {
    let old = times.partition_point(|at| now.saturating_sub(*at) >= window);
    times.len() - old
}

impl Summary {
    /// The worst of both.
    pub(crate) fn add(&mut self, other: &Self) {
        self.changes += other.changes;
        self.changes_max = self.changes_max.max(other.changes_max);
        self.promotions_max = self.promotions_max.max(other.promotions_max);
        self.carried_percent_min = self.carried_percent_min.min(other.carried_percent_min);
        self.events += other.events;
    }
}
