//! How the answers of forward zones are: counters of the workers and results of canaries, taken to
//! their judges once a second, and what these conclude to health. Counters are glanced at in between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use crate::admin::status::{Canaries, Zone};
use crate::config::Config;
use crate::dns::canary::{CanaryResult, asking};
use crate::dns::quality::{DOMAINS, PREFIXES, Quality as AnswerTables, TIMES, time_bound};
use crate::dns::upstream::{Upstreams, ZoneStatus};
use crate::health::quality::metrics::{Metrics, ZoneAnswers};
use crate::health::quality::{AnswerCounts, AnswerJudge, CanaryJudge, WitnessCount};
use crate::health::{Health, PoorCanaries};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Between two glances, at least: at each tick of 100 ms or more, be it a little early.
const GLANCES: Duration = Duration::from_millis(75);
/// Results that the routing thread has not taken yet: more than there are in the 10 s that it may take
/// its time.
const RESULTS_WAITING: usize = 512;

/// The judges of all zones.
pub(super) struct Quality {
    upstreams: Arc<Upstreams>,
    results: mpsc::Receiver<CanaryResult>,
    canaries: CanaryJudge,
    /// By position of the zone.
    zones: Vec<ZoneJudge>,
    counts: AnswerCounts,
    looked_at: Option<Instant>,
    glanced_at: Option<Instant>,
    metrics: Metrics,
}

#[derive(Default)]
struct ZoneJudge {
    /// `None`: the zone is not counted by domain and prefix.
    answers: Option<AnswerJudge>,
    /// Good and failed questions at the last look.
    last: (u64, u64),
    poor_canaries: Option<PoorCanaries>,
    known: ZoneAnswers,
    shown: Option<ZoneAnswers>,
}

/// Asks for canaries until the node stops; and what becomes of them.
pub(super) fn canaries(
    upstreams: &Arc<Upstreams>,
    config: &Config,
    stop: &watch::Receiver<bool>,
) -> (
    impl Future<Output = ()> + use<>,
    mpsc::Receiver<CanaryResult>,
) {
    let (sender, results) = mpsc::channel(RESULTS_WAITING);
    let settings = config.canary.clone();
    let asking = asking::run(Arc::clone(upstreams), settings, sender, stop.clone());
    (asking, results)
}

impl Quality {
    pub(super) fn new(
        config: &Config,
        upstreams: Arc<Upstreams>,
        results: mpsc::Receiver<CanaryResult>,
        metrics: Metrics,
    ) -> Self {
        let names = config.canary.canaries.iter();
        let zones_of_canaries: Vec<usize> = names
            .map(|canary| upstreams.zone_for_question(&canary.name, canary.rtype))
            .map(|zone| zone.position())
            .collect();
        let bounds: Vec<_> = (0..TIMES).map(time_bound).collect();
        let judge = |zone| ZoneJudge {
            answers: upstreams
                .quality()
                .has_table(zone)
                .then(|| AnswerJudge::new(PREFIXES, bounds.clone())),
            ..ZoneJudge::default()
        };
        Self {
            zones: (0..upstreams.zones().count()).map(judge).collect(),
            canaries: CanaryJudge::new(&config.health, &zones_of_canaries, config.canary.needed),
            counts: AnswerCounts {
                pairs: vec![(0, 0); DOMAINS * PREFIXES],
                times: vec![0; TIMES],
            },
            upstreams,
            results,
            looked_at: None,
            glanced_at: None,
            metrics,
        }
    }

    /// Looks when it is time, and tells health what has changed; whether it did look.
    pub(super) fn tick(&mut self, now: Instant, health: &mut Health) -> bool {
        let is_early = |at, gap| now.saturating_duration_since(at) < gap;
        if self.glanced_at.is_some_and(|at| is_early(at, GLANCES)) {
            return false;
        }
        self.glanced_at = Some(now);
        let is_overloaded = health.is_overloaded(now);
        self.set_late_after(is_overloaded);
        if self.looked_at.is_some_and(|at| is_early(at, INTERVAL)) {
            return self.glance(now, health);
        }
        self.looked_at = Some(now);
        while let Ok(result) = self.results.try_recv() {
            let (canary, is_good) = (result.canary, result.is_good);
            self.canaries.handle_result(canary, is_good, is_overloaded);
        }
        let upstreams = Arc::clone(&self.upstreams);
        for (zone, status) in upstreams.zones().enumerate() {
            self.look_at_answers(now, (zone, &status), health);
            self.look_at_canaries(now, (zone, &status), health);
            if let Some(judge) = self.zones.get_mut(zone)
                && judge.shown.replace(judge.known) != Some(judge.known)
            {
                self.metrics.refresh(status.zone, &judge.known);
            }
        }
        true
    }

    /// Sees whether all answers of a zone fail since the last look; whether that is news.
    fn glance(&mut self, now: Instant, health: &mut Health) -> bool {
        let upstreams = Arc::clone(&self.upstreams);
        let quality = upstreams.quality();
        let mut has_news = false;
        for ((zone, status), judge) in upstreams.zones().enumerate().zip(&mut self.zones) {
            let Some(answers) = &mut judge.answers else {
                continue;
            };
            quality.read(zone, &mut self.counts.pairs, &mut self.counts.times);
            if answers.glance(now, &self.counts) {
                judge.known.failed_percent = answers.failed_percent();
                tell_all(now, (zone, &status), (quality, answers), health);
                has_news = true;
            }
        }
        has_news
    }

    /// Before each glance: an answer that is late by 800 ms comes after the flood that made it so.
    fn set_late_after(&self, is_overloaded: bool) {
        for (zone, judge) in self.zones.iter().enumerate() {
            if let Some(answers) = &judge.answers {
                let limit = answers.late_after(is_overloaded);
                self.upstreams.quality().set_late_after(zone, limit);
            }
        }
    }

    /// What is known of each zone, by position.
    pub(super) fn zones(&self) -> impl Iterator<Item = ZoneAnswers> {
        self.zones.iter().map(|zone| zone.known)
    }

    fn look_at_answers(
        &mut self,
        now: Instant,
        (zone, status): (usize, &ZoneStatus<'_>),
        health: &mut Health,
    ) {
        let quality = self.upstreams.quality();
        let Some(judge) = self.zones.get_mut(zone) else {
            return;
        };
        let (good, failed) = quality.totals(zone);
        let before = std::mem::replace(&mut judge.last, (good, failed));
        (judge.known.good, judge.known.failed) = (good, failed);
        let Some(answers) = &mut judge.answers else {
            let (good, failed) = (
                good.saturating_sub(before.0),
                failed.saturating_sub(before.1),
            );
            let percent = (failed * 100).checked_div(good + failed);
            judge.known.failed_percent = percent.and_then(|percent| percent.try_into().ok());
            return;
        };
        quality.read(zone, &mut self.counts.pairs, &mut self.counts.times);
        let (of, resolving) = quality.witnesses(zone);
        let witnesses = WitnessCount { of, resolving };
        if answers.handle_counts(now, &self.counts, witnesses) {
            tell_all(now, (zone, status), (quality, answers), health);
        }
        judge.known.failed_percent = answers.failed_percent();
        judge.known.baseline_percent = Some(answers.baseline_percent());
        judge.known.median = answers.median();
    }

    fn look_at_canaries(
        &mut self,
        now: Instant,
        (zone, status): (usize, &ZoneStatus<'_>),
        health: &mut Health,
    ) {
        let Some(judge) = self.zones.get_mut(zone) else {
            return;
        };
        judge.known.canaries = self.canaries.count(zone);
        let poor = self.canaries.poor(zone);
        let before = std::mem::replace(&mut judge.poor_canaries, poor);
        if before == poor {
            return;
        }
        let (good, of) = judge.known.canaries;
        match poor {
            Some(PoorCanaries { needed, .. }) => {
                tracing::warn!(
                    zone = status.zone,
                    good,
                    of,
                    needed,
                    "too few canaries resolve"
                );
            }
            None => tracing::info!(
                zone = status.zone,
                good,
                of,
                "enough canaries resolve again"
            ),
        }
        if status.critical {
            health.handle_canaries(now, status.zone, poor);
        }
    }
}

/// A fault has begun, or is over: what has to know it.
fn tell_all(
    now: Instant,
    (zone, status): (usize, &ZoneStatus<'_>),
    (quality, answers): (&AnswerTables, &AnswerJudge),
    health: &mut Health,
) {
    let poor = answers.poor();
    quality.watch(zone, poor.is_some());
    tell(status.zone, poor.as_ref());
    health.handle_answers(now, status.zone, poor);
}

fn tell(zone: &str, poor: Option<&crate::health::PoorAnswers>) {
    match poor {
        Some(poor) => tracing::warn!(
            zone,
            failed_percent = poor.failed_percent,
            baseline_percent = poor.baseline_percent,
            domains = poor.domains,
            prefixes = poor.prefixes,
            "most answers of this zone fail"
        ),
        None => tracing::info!(zone, "answers of this zone are as they should be again"),
    }
}

/// For the status: what is known of each zone.
pub(super) fn show(answers: &[ZoneAnswers], zones: &mut [Zone]) {
    for (zone, known) in zones.iter_mut().zip(answers) {
        let (good, of) = known.canaries;
        zone.failed_percent = known.failed_percent;
        zone.baseline_percent = known.baseline_percent;
        zone.canaries = (of > 0).then_some(Canaries { good, of });
    }
}
