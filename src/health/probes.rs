//! The self-probes of one target: which of them fail, and whether a fault or a flood is why.
//!
//! Measured: under a flood a probe with a limit of 150 ms is lost three times out of four, up to
//! eight times in a row. So an unanswered probe is evidence of a fault only while nobody else is
//! answered and no queue overflows; else it is overload, and no reason to leave.

use std::time::Duration;

use super::streak::Streak;
use super::{Awaited, ProbeOf, ProbeOutcome, Reason, Settings};

/// Between two probes of this node's workers over TCP, unless the interval is longer.
const TCP_INTERVAL: Duration = Duration::from_secs(1);

/// The probes of one target.
#[derive(Clone, Debug)]
pub(super) struct Probes {
    workers: Vec<ProbeRun>,
    address: ProbeRun,
    tcp: ProbeRun,
    is_tcp_asked: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct ProbeRun {
    /// Fails when nothing but a fault explains the missing answers.
    fault: Streak,
    /// Fails whenever answers are missing.
    shed: Streak,
}

impl Probes {
    pub(super) fn new(workers: usize, is_tcp_asked: bool) -> Self {
        let run = ProbeRun::default();
        Self {
            workers: vec![run; workers],
            address: run,
            tcp: run,
            is_tcp_asked,
        }
    }

    /// Takes a result; `is_busy`: whom it asked answers clients or drops queries; `rise`: so many
    /// good ones in a row end a fault now, over TCP as many as come in the same time.
    pub(super) fn record(
        &mut self,
        probe: ProbeOf,
        outcome: ProbeOutcome,
        is_busy: bool,
        settings: &Settings,
        rise: u32,
    ) {
        if matches!((probe, outcome), (ProbeOf::Worker(_), ProbeOutcome::Good)) {
            self.address.record(outcome, is_busy, settings, rise);
        }
        let is_other = self.workers.is_empty();
        let (run, rise) = match probe {
            ProbeOf::Worker(worker) => (self.workers.get_mut(worker), rise),
            ProbeOf::Address => (Some(&mut self.address), rise),
            // Another program is asked over TCP in each round while anything is wrong.
            ProbeOf::Tcp if is_other => (Some(&mut self.tcp), rise),
            ProbeOf::Tcp => (Some(&mut self.tcp), rise_over_tcp(settings, rise)),
        };
        if let Some(run) = run {
            run.record(outcome, is_busy, settings, rise);
        }
    }

    /// From now on each worker, or what answers in their place, has to prove itself with as many good
    /// probes as end a fault.
    pub(super) fn distrust(&mut self) {
        self.workers.iter_mut().for_each(|run| run.fault.distrust());
        if self.workers.is_empty() {
            self.address.fault.distrust();
        }
    }

    /// The start is over: what failed before it is forgiven.
    pub(super) fn trust(&mut self) {
        for run in self.runs_mut() {
            run.fault.trust();
            run.shed.trust();
        }
    }

    /// The first probe without a good latest result; `None` when each has one.
    pub(super) fn awaited(&self) -> Option<Awaited> {
        let worker = self.workers.iter().position(|run| !run.fault.was_good());
        let is_other = self.workers.is_empty() && !self.address.fault.was_good();
        let is_tcp = self.is_tcp_asked && !self.tcp.fault.was_good();
        worker
            .map(Awaited::Probe)
            .or_else(|| is_other.then_some(Awaited::AddressProbe))
            .or_else(|| is_tcp.then_some(Awaited::TcpProbe))
    }

    /// What failed and has not recovered, told as a reason; `rise` good ones end it now.
    pub(super) fn fault(&self, settings: &Settings, rise: u32) -> Option<Reason> {
        let failing = self
            .runs()
            .find(|(_, run)| run.fault.is_failing(settings.fall));
        if let Some((probe, _)) = failing {
            return Some(Reason::NoAnswer {
                probe,
                probes: settings.fall,
            });
        }
        let is_recovering = self.runs().any(|(_, run)| run.fault.is_failed());
        is_recovering.then_some(Reason::Recovering { probes: rise })
    }

    /// What is shed, told as a reason.
    pub(super) fn overload(&self) -> Option<Reason> {
        self.runs()
            .find(|(_, run)| run.shed.is_failed())
            .map(|(probe, _)| Reason::Shed { probe })
    }

    fn runs(&self) -> impl Iterator<Item = (ProbeOf, &ProbeRun)> {
        let workers = self
            .workers
            .iter()
            .enumerate()
            .map(|(w, run)| (ProbeOf::Worker(w), run));
        workers.chain([(ProbeOf::Address, &self.address), (ProbeOf::Tcp, &self.tcp)])
    }

    fn runs_mut(&mut self) -> impl Iterator<Item = &mut ProbeRun> {
        self.workers
            .iter_mut()
            .chain([&mut self.address, &mut self.tcp])
    }
}

impl ProbeRun {
    fn record(&mut self, outcome: ProbeOutcome, is_busy: bool, settings: &Settings, rise: u32) {
        match outcome {
            ProbeOutcome::Good => {
                self.fault.good(rise);
                self.shed.good(settings.rise);
            }
            // An answer that came and is wrong has nothing to do with load.
            ProbeOutcome::Bad => {
                self.fault.bad(settings.fall);
                self.shed.interrupt();
            }
            ProbeOutcome::Unanswered if !is_busy => {
                self.shed.bad(settings.fall);
                self.fault.bad(settings.fall);
            }
            ProbeOutcome::Unanswered | ProbeOutcome::Shed => {
                self.shed.bad(settings.fall);
                self.fault.interrupt();
            }
        }
    }
}

/// How many good probes over TCP come in the time that `rise` of the others take, rounded up: a proof
/// is no better for lasting five times as long.
fn rise_over_tcp(settings: &Settings, rise: u32) -> u32 {
    let gap = settings.interval.max(TCP_INTERVAL);
    let proof = settings.interval.saturating_mul(rise);
    let probes = proof.as_nanos().div_ceil(gap.as_nanos().max(1));
    u32::try_from(probes).unwrap_or(rise).clamp(1, rise.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::machine::tests::settings;

    #[test]
    fn proof_over_tcp_takes_the_time_of_the_other_probes_rounded_up_to_whole_gaps() {
        for (interval_ms, rise, expected) in [
            (200, 5, 1),
            (200, 6, 2),
            (200, 10, 2),
            (200, 25, 5),
            (20, 1, 1),
            (1000, 5, 5),
            (10_000, 25, 25),
        ] {
            let settings = Settings {
                interval: Duration::from_millis(interval_ms),
                ..settings()
            };
            let probes = rise_over_tcp(&settings, rise);
            assert_eq!(probes, expected, "{rise} each {interval_ms} ms");
        }
    }

    #[test]
    fn a_program_of_others_shows_as_many_good_probes_over_tcp_as_over_udp() {
        let settings = settings();
        for (workers, is_over) in [(1, true), (0, false)] {
            let mut probes = Probes::new(workers, true);
            let mut tell = |outcome| probes.record(ProbeOf::Tcp, outcome, false, &settings, 5);
            for _ in 0..settings.fall {
                tell(ProbeOutcome::Unanswered);
            }
            tell(ProbeOutcome::Good);
            assert_eq!(probes.fault(&settings, 5).is_none(), is_over, "{workers}");
        }
    }
}
