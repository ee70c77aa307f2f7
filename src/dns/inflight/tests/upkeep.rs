//! Probes in simulated time, as the upkeep thread sends them.

use futures_util::FutureExt;

use super::super::super::upstream::pacing::Pacing;
use super::super::super::upstream::{Asked, Errand, UpstreamIndex};
use super::network::{Network, Word};
use super::*;

/// Of each upstream, and of all probes on their way.
pub(super) struct Upkeep {
    pacings: Vec<Pacing>,
    probes: Vec<Probe>,
}

struct Probe {
    upstream: UpstreamIndex,
    sent: Instant,
    late_at: Option<Instant>,
    missed_at: Option<Instant>,
    answers: Vec<(Instant, Word)>,
}

impl Network {
    /// Lets the upstreams be probed from now on.
    pub(super) fn begin_upkeep(&mut self) {
        let pacings = self.scripts.iter().map(|_| Pacing::new(self.now)).collect();
        self.upkeep = Some(Upkeep {
            pacings,
            probes: Vec::new(),
        });
    }

    /// Does what is due; to be called every ms.
    pub(super) fn keep_up(&mut self) {
        let Some(mut upkeep) = self.upkeep.take() else {
            return;
        };
        let (now, upstreams) = (self.now, Arc::clone(&self.upstreams));
        upkeep.probes.retain_mut(|probe| self.follow(probe));
        for index in upstreams.indexes() {
            let position = index.position();
            let pacing = &mut upkeep.pacings[position];
            if upstreams.wake(index).notified().now_or_never().is_some() {
                pacing.woken(upstreams.condition(index), now, 0);
            }
            if pacing.next() > now {
                continue;
            }
            match upstreams.errand(index) {
                Errand::Probe => pacing.sent(upstreams.condition(index), now, 0),
                errand => {
                    if errand == Errand::Expire {
                        upstreams.expire(index, now);
                    }
                    pacing.rested(upstreams.condition(index), now, 0);
                    continue;
                }
            }
            let (late, missed) = upstreams.probe_patience(index);
            let ms = self.elapsed_ms();
            let words = self.scripts[position](0, Edns::Without, ms);
            upkeep.probes.push(Probe {
                upstream: index,
                sent: now,
                late_at: Some(now + late),
                missed_at: Some(now + missed),
                answers: words
                    .into_iter()
                    .map(|(ms, word)| (now + Duration::from_millis(ms), word))
                    .collect(),
            });
        }
        self.upkeep = Some(upkeep);
    }

    /// Whether there is more to come of a probe.
    fn follow(&self, probe: &mut Probe) -> bool {
        let (upstreams, index, now) = (&self.upstreams, probe.upstream, self.now);
        if let Some(&(at, word)) = probe.answers.first().filter(|(at, _)| *at <= now) {
            match word {
                Word::Unreachable => upstreams.refused(index, at),
                Word::Rcode(rcode) | Word::Reason(rcode, _) | Word::Headless(rcode) => {
                    upstreams.answered(index, Asked::Probe, probe.sent, now);
                    if rcode == 0 {
                        upstreams.probe_accepted(index, now);
                    } else {
                        upstreams.probe_declined(index, now);
                    }
                }
                Word::Truncated
                | Word::Malformed
                | Word::Referral
                | Word::Unrelated
                | Word::AliasLoop
                | Word::Tcp(_) => {
                    upstreams.answered(index, Asked::Probe, probe.sent, now);
                }
            }
            return false;
        }
        if probe.late_at.take_if(|at| *at <= now).is_some() {
            upstreams.overdue(index, Asked::Probe, probe.sent);
        }
        if probe.missed_at.take_if(|at| *at <= now).is_some() {
            upstreams.probe_missed(index, probe.sent, now);
        }
        now < probe.sent + Duration::from_secs(2)
    }
}
