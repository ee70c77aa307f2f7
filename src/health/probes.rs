//! The self-probes of one target: which of them fail, and whether a fault or a flood is why.
//!
//! Measured: under a flood a probe with a limit of 150 ms is lost three times out of four, up to
//! eight times in a row. So an unanswered probe is evidence of a fault only while nobody else is
//! answered and no queue overflows; else it is overload, and no reason to leave.

use super::streak::Streak;
use super::{Awaited, ProbeOf, ProbeOutcome, Reason, Settings};

/// The probes of one target.
#[derive(Clone, Debug)]
pub(super) struct Probes {
    workers: Vec<ProbeRun>,
    address: ProbeRun,
    tcp: ProbeRun,
}

#[derive(Clone, Copy, Debug, Default)]
struct ProbeRun {
    /// Fails when nothing but a fault explains the missing answers.
    fault: Streak,
    /// Fails whenever answers are missing.
    shed: Streak,
}

impl Probes {
    pub(super) fn new(workers: usize) -> Self {
        let run = ProbeRun::default();
        Self {
            workers: vec![run; workers],
            address: run,
            tcp: run,
        }
    }

    /// Takes a result; `is_busy`: whom it asked answers clients or drops queries; `rise`: so many
    /// good ones in a row end a fault now.
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
        let run = match probe {
            ProbeOf::Worker(worker) => self.workers.get_mut(worker),
            ProbeOf::Address => Some(&mut self.address),
            ProbeOf::Tcp => Some(&mut self.tcp),
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
        worker
            .map(Awaited::Probe)
            .or_else(|| is_other.then_some(Awaited::AddressProbe))
            .or_else(|| (!self.tcp.fault.was_good()).then_some(Awaited::TcpProbe))
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
            ProbeOutcome::Unanswered => {
                self.shed.bad(settings.fall);
                if is_busy {
                    self.fault.interrupt();
                } else {
                    self.fault.bad(settings.fall);
                }
            }
        }
    }
}
