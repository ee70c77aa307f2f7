//! One question on its way through the upstreams of its zone.
//!
//! Source: RFC 1035 §7.2 (sending the queries), RFC 8914 §3 (an error may carry its reason).

use std::time::{Duration, Instant};

use super::super::client::{Asker, Prefix};
use super::super::forward::Failure;
use super::super::key::Key;
use super::super::upstream::{Asked, Evidence, UpstreamIndex, Upstreams, ZoneIndex};
use super::limits::Party;
use super::streams::OverTcp;
use super::table::NONE;
use super::trace::{Steps, Why};
use super::waiters::Waiters;
use super::window::Ticket;

/// How often one question may be sent to one upstream: one datagram may be lost.
const TRIES: u32 = 2;
/// The same where there is no other upstream.
const TRIES_ALONE: u32 = 4;
/// The same of another node of the service.
const TRIES_SIBLING: u32 = 1;
const RCODE_SERVFAIL: u16 = 2;

/// A place for a question; its storage serves the next one.
#[derive(Debug)]
pub(super) struct Race<W> {
    pub(super) key: Key,
    /// The keyed hash of `key`.
    pub(super) fingerprint: u64,
    /// Counts the questions that the place has had, so that nobody takes one for another.
    pub(super) generation: u32,
    /// The next place with a hash of the same bucket.
    pub(super) chained: usize,
    pub(super) waiters: Waiters<W>,
    /// Who asked first.
    pub(super) asker: Asker,
    pub(super) zone: ZoneIndex,
    /// Whose room it takes.
    pub(super) party: Party,
    pub(super) begun: Instant,
    pub(super) deadline: Instant,
    /// It waits for its turn, for the first time or to be asked once more,
    pub(super) is_queued: bool,
    /// the turn of this prefix,
    pub(super) turn: Prefix,
    /// and, if nobody has been asked yet, until when at most.
    pub(super) queued_until: Option<Instant>,
    /// How long it has waited so.
    pub(super) queued_for: Duration,
    /// When to see whether another upstream is to be asked.
    pub(super) look_at: Option<Instant>,
    /// The last of its upstreams that is asked over TCP, unless that has ended or is late.
    pub(super) over_tcp: Option<OverTcp>,
    /// Siblings are asked.
    pub(super) is_last_resort: bool,
    /// What is given once for each question has been given.
    pub(super) has_had: Once,
    /// Its ticket for the window, and the upstream that it is good for.
    pub(super) inside: Option<(Ticket, UpstreamIndex)>,
    pub(super) steps: Steps,
    /// Best first, and siblings behind them.
    contenders: Vec<UpstreamIndex>,
    /// Of each contender.
    standings: Vec<Standing>,
    /// The last one asked, unless it has said its word.
    latest: Option<UpstreamIndex>,
    poor: Option<(Box<[u8]>, u16)>,
}

/// See [`Race::has_had`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Once {
    pub(super) overtime: bool,
    pub(super) denial: bool,
}

#[derive(Clone, Copy, Debug)]
struct Standing {
    is_sibling: bool,
    tries: u32,
    /// Attempts that have not come to an end.
    open: u32,
    /// It has answered or failed, and is not asked or waited for any longer.
    done: bool,
    /// The last time.
    sent: Instant,
    /// When that is past its time.
    overdue_at: Option<Instant>,
    /// RCODE and reason of an answer that ended nothing.
    poor: Option<(u16, Option<u16>)>,
}

/// Who may be asked next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) upstream: UpstreamIndex,
    /// It has not been asked yet.
    pub(super) is_fresh: bool,
    pub(super) is_sibling: bool,
}

/// An attempt whose question is over before it was late.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orphan {
    pub(super) upstream: UpstreamIndex,
    pub(super) sent: Instant,
    pub(super) overdue_at: Instant,
}

impl<W> Race<W> {
    /// A place without a question.
    pub(super) fn vacant(key: &Key, zone: ZoneIndex, now: Instant) -> Self {
        Self {
            key: *key,
            fingerprint: 0,
            generation: 0,
            chained: NONE,
            waiters: Waiters::default(),
            asker: Asker::default(),
            zone,
            party: Party::default(),
            begun: now,
            deadline: now,
            is_queued: false,
            turn: Prefix::default(),
            queued_until: None,
            queued_for: Duration::ZERO,
            look_at: None,
            over_tcp: None,
            is_last_resort: false,
            has_had: Once::default(),
            inside: None,
            steps: Steps::default(),
            contenders: Vec::new(),
            standings: Vec::new(),
            latest: None,
            poor: None,
        }
    }

    /// A question begins; nobody is asked yet.
    pub(super) fn begin(
        &mut self,
        key: &Key,
        fingerprint: u64,
        (begun, deadline): (Instant, Instant),
    ) {
        self.key = *key;
        self.fingerprint = fingerprint;
        self.begun = begun;
        self.deadline = deadline;
        self.is_last_resort = false;
        self.has_had = Once::default();
        self.queued_for = Duration::ZERO;
        self.poor = None;
        self.steps.clear();
    }

    /// Leaves nothing of the question behind; answers to it are late from now on.
    pub(super) fn end(&mut self, upstreams: &Upstreams, mut orphaned: impl FnMut(Orphan)) {
        for (&upstream, standing) in self.contenders.iter().zip(&self.standings) {
            if standing.open > 0 {
                upstreams.settled(upstream, standing.open);
            }
            if let Some(overdue_at) = standing.overdue_at.filter(|_| standing.is_awaited()) {
                let sent = standing.sent;
                orphaned(Orphan {
                    upstream,
                    sent,
                    overdue_at,
                });
            }
        }
        self.contenders.clear();
        self.standings.clear();
        self.latest = None;
        self.look_at = None;
        self.over_tcp = None;
        self.is_queued = false;
        self.queued_until = None;
        self.waiters.shrink();
        self.generation = self.generation.wrapping_add(1);
    }

    /// Lets the ordinary upstreams contend; whether there is one.
    pub(super) fn admit_upstreams(&mut self, upstreams: &Upstreams, now: Instant) -> bool {
        upstreams.order(self.zone, &mut self.contenders);
        let count = self.contenders.len();
        self.standings.clear();
        self.standings.resize(count, Standing::new(false, now));
        count > 0
    }

    /// Lets up to `count` of `siblings` contend as well; whether there is one.
    pub(super) fn admit_siblings(
        &mut self,
        siblings: &[UpstreamIndex],
        count: usize,
        now: Instant,
    ) -> bool {
        let chosen = siblings
            .get(..count.min(siblings.len()))
            .unwrap_or_default();
        self.contenders.extend_from_slice(chosen);
        let all = self.contenders.len();
        self.standings.resize(all, Standing::new(true, now));
        self.is_last_resort = !chosen.is_empty();
        self.is_last_resort
    }

    /// Whether somebody has been asked or is about to be.
    pub(super) fn has_started(&self) -> bool {
        !self.contenders.is_empty()
    }

    /// Whether somebody waits for it who may have it asked of siblings.
    pub(super) fn is_for_client(&self) -> bool {
        self.waiters.terms().any(|terms| !terms.is_marked)
    }

    /// Whether there is no choice of upstreams.
    pub(super) fn is_alone(&self) -> bool {
        self.contenders.len() == 1 && !self.is_last_resort
    }

    /// The best of those least often asked, if it is worth asking.
    pub(super) fn candidate(&self, upstreams: &Upstreams) -> Option<Candidate> {
        let (&upstream, standing) = self
            .contenders
            .iter()
            .zip(&self.standings)
            .filter(|(_, standing)| !standing.done && standing.tries < self.tries(standing))
            .filter(|(upstream, _)| upstreams.is_up(**upstream))
            .min_by_key(|(_, standing)| standing.tries)?;
        Some(Candidate {
            upstream,
            is_fresh: standing.tries == 0,
            is_sibling: standing.is_sibling,
        })
    }

    /// A sibling is not asked: it has been asked enough.
    pub(super) fn pass_over(&mut self, upstream: UpstreamIndex) {
        if let Some(standing) = self.standing(upstream) {
            standing.done = true;
        }
    }

    fn tries(&self, standing: &Standing) -> u32 {
        if standing.is_sibling {
            TRIES_SIBLING
        } else if self.is_alone() {
            TRIES_ALONE
        } else {
            TRIES
        }
    }

    /// An upstream is asked.
    pub(super) fn ask(
        &mut self,
        upstreams: &Upstreams,
        upstream: UpstreamIndex,
        why: Why,
        now: Instant,
    ) {
        let begun = self.begun;
        let Some(standing) = self.standing(upstream) else {
            return;
        };
        standing.tries += 1;
        standing.open += 1;
        standing.sent = now;
        // In the spirit of RFC 6298 §5.5, but a few tries have to span a bad half-second.
        let longer = 3_u32.pow((standing.tries - 1).min(8));
        standing.overdue_at = Some(now + upstreams.patience(upstream));
        self.look_at = Some(now + upstreams.hedge_after(upstream) * longer);
        self.latest = Some(upstream);
        self.steps
            .push(upstream, why, now.saturating_duration_since(begun));
        upstreams.asked(upstream);
    }

    /// Whether nobody was asked after this upstream, and it has not said its word.
    pub(super) fn is_latest(&self, upstream: UpstreamIndex) -> bool {
        self.latest == Some(upstream)
    }

    /// Whether the last one asked gives no sign of life, or nobody is left who could.
    pub(super) fn is_met_by_silence(&self, upstreams: &Upstreams) -> bool {
        self.latest.is_none_or(|latest| upstreams.is_silent(latest))
    }

    /// The next upstream whose answer is past its time at `now`: noted, and told to `upstreams`.
    pub(super) fn next_overdue(
        &mut self,
        upstreams: &Upstreams,
        now: Instant,
    ) -> Option<UpstreamIndex> {
        let mut all = self.contenders.iter().zip(&mut self.standings);
        let (&upstream, standing) =
            all.find(|(_, standing)| standing.overdue_at.is_some_and(|at| at <= now))?;
        standing.overdue_at = None;
        upstreams.overdue(upstream, Asked::Question, standing.sent);
        Some(upstream)
    }

    /// An upstream lives, whatever it has said.
    pub(super) fn has_heard(&mut self, upstream: UpstreamIndex) {
        if let Some(standing) = self.standing(upstream) {
            standing.overdue_at = None;
        }
    }

    /// An upstream has answered with an error.
    pub(super) fn note_poor(&mut self, upstream: UpstreamIndex, rcode: u16, reason: Option<u16>) {
        if let Some(standing) = self.standing(upstream) {
            standing.poor = Some((rcode, reason));
        }
    }

    /// Whether the error that an upstream gave has one of these reasons.
    pub(super) fn has_error_of(&self, is_it: impl Fn(Option<u16>) -> bool) -> bool {
        let mut poor = self.standings.iter().filter_map(|standing| standing.poor);
        poor.any(|(_, reason)| is_it(reason))
    }

    /// Tells of the errors of ordinary upstreams, `contradicted` or not.
    pub(super) fn testify(
        &self,
        upstreams: &Upstreams,
        domain: impl Fn(&[u8], &[u8]) -> u64,
        contradicted: bool,
        now: Instant,
    ) {
        for (&upstream, standing) in self.contenders.iter().zip(&self.standings) {
            let Some((rcode, reason)) = standing.poor.filter(|_| !standing.is_sibling) else {
                continue;
            };
            let evidence = Evidence {
                rcode,
                reason,
                domain: domain(upstreams.apex(upstream), self.key.name()),
                prefix: self.asker.prefix,
                contradicted,
            };
            upstreams.poor_answer(upstream, &evidence, now);
        }
    }

    /// This upstream has said its word; whether another is to be asked at once.
    pub(super) fn conclude(&mut self, upstreams: &Upstreams, upstream: UpstreamIndex) -> bool {
        if let Some(standing) = self.standing(upstream) {
            standing.done = true;
            standing.overdue_at = None;
            if standing.open > 0 {
                standing.open -= 1;
                upstreams.settled(upstream, 1);
            }
        }
        let was_latest = self.latest.take_if(|latest| *latest == upstream).is_some();
        was_latest || !self.standings.iter().any(Standing::is_awaited)
    }

    /// A SERVFAIL may carry the reason (RFC 8914) and is no claim about us, as REFUSED would be.
    pub(super) fn keep(&mut self, message: &[u8], rcode: u16) {
        if self
            .poor
            .as_ref()
            .is_none_or(|&(_, kept)| kept != RCODE_SERVFAIL)
        {
            self.poor = Some((message.into(), rcode));
        }
    }

    /// The best of the poor answers.
    pub(super) fn take_poor(&mut self) -> Option<(Box<[u8]>, u16)> {
        self.poor.take()
    }

    /// Why the question fails when nobody can be asked any more: has somebody given something, be it a
    /// sibling's word that it cannot help, or something been sent in vain, or are all of them dead?
    pub(super) fn verdict(&self) -> Failure {
        let was_passed_over = |standing: &Standing| standing.is_sibling && standing.tries == 0;
        let has_failed = |standing: &Standing| standing.done && !was_passed_over(standing);
        if self.standings.iter().any(has_failed) {
            Failure::Unanswered
        } else {
            Failure::NoneUsable
        }
    }

    /// Whether an upstream that lives may still give an answer.
    pub(super) fn has_hope(&self, upstreams: &Upstreams) -> bool {
        self.contenders
            .iter()
            .zip(&self.standings)
            .any(|(&upstream, standing)| {
                !standing.done
                    && (standing.tries < self.tries(standing) || standing.is_awaited())
                    && upstreams.is_up(upstream)
            })
    }

    /// When something is to be done about it.
    pub(super) fn wake_at(&self) -> Instant {
        let overdue_at = self
            .standings
            .iter()
            .filter_map(|standing| standing.overdue_at);
        let tcp_due = self.over_tcp.map(|over_tcp| over_tcp.due);
        let soonest = self.waiters.soonest();
        [self.look_at, self.queued_until, soonest, tcp_due]
            .into_iter()
            .flatten()
            .chain(overdue_at)
            .fold(self.deadline, Instant::min)
    }

    /// How long it has been under way.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begun)
    }

    fn standing(&mut self, upstream: UpstreamIndex) -> Option<&mut Standing> {
        let place = self.contenders.iter().position(|&one| one == upstream)?;
        self.standings.get_mut(place)
    }
}

impl Standing {
    fn new(is_sibling: bool, now: Instant) -> Self {
        Self {
            is_sibling,
            tries: 0,
            open: 0,
            done: false,
            sent: now,
            overdue_at: None,
            poor: None,
        }
    }

    fn is_awaited(&self) -> bool {
        !self.done && self.open > 0
    }
}
