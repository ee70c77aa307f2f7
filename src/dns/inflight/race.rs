//! One question on its way through the upstreams of its zone.
//!
//! Source: RFC 1035 §7.2 (sending the queries), RFC 8914 §3 (an error may carry its reason).

use std::time::Instant;

use super::super::key::Key;
use super::super::upstream::{Asked, UpstreamIndex, Upstreams};
use super::table::NONE;
use super::waiters::Waiters;

/// How often one question may be sent to one upstream: one datagram may be lost.
const TRIES: u32 = 2;
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
    pub(super) deadline: Instant,
    /// Best first.
    pub(super) contenders: Vec<UpstreamIndex>,
    /// Of each contender.
    standings: Vec<Standing>,
    latest: Option<Latest>,
    poor: Option<(Box<[u8]>, u16)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    tries: u32,
    /// Attempts that have not come to an end.
    open: u32,
    /// It has answered or failed, and is not asked or waited for any longer.
    done: bool,
}

/// The last one asked, when, and from when on it is late.
#[derive(Clone, Copy, Debug)]
struct Latest {
    upstream: UpstreamIndex,
    sent: Instant,
    late_at: Instant,
}

impl<W> Race<W> {
    /// A place without a question.
    pub(super) fn vacant(key: &Key, now: Instant) -> Self {
        Self {
            key: *key,
            fingerprint: 0,
            generation: 0,
            chained: NONE,
            waiters: Waiters::default(),
            deadline: now,
            contenders: Vec::new(),
            standings: Vec::new(),
            latest: None,
            poor: None,
        }
    }

    /// Starts with `contenders` as they stand.
    pub(super) fn begin(&mut self, key: &Key, fingerprint: u64, deadline: Instant) {
        self.key = *key;
        self.fingerprint = fingerprint;
        self.deadline = deadline;
        self.latest = None;
        self.poor = None;
        self.standings.clear();
        self.standings
            .resize(self.contenders.len(), Standing::default());
    }

    /// Leaves nothing of the question behind; answers to it are late from now on.
    pub(super) fn end(&mut self, upstreams: &Upstreams) {
        for (&upstream, standing) in self.contenders.iter().zip(&mut self.standings) {
            if standing.open > 0 {
                upstreams.settled(upstream, standing.open);
            }
        }
        self.contenders.clear();
        self.standings.clear();
        self.latest = None;
        self.waiters.shrink();
        self.generation = self.generation.wrapping_add(1);
    }

    /// The next upstream worth asking, noted as asked: the best of those least often asked.
    pub(super) fn next(&mut self, upstreams: &Upstreams, now: Instant) -> Option<UpstreamIndex> {
        let (&upstream, standing) = self
            .contenders
            .iter()
            .zip(&mut self.standings)
            .filter(|(_, standing)| !standing.done && standing.tries < TRIES)
            .filter(|(upstream, _)| upstreams.is_up(**upstream))
            .min_by_key(|(_, standing)| standing.tries)?;
        standing.tries += 1;
        standing.open += 1;
        upstreams.asked(upstream);
        self.latest = Some(Latest {
            upstream,
            sent: now,
            late_at: now + upstreams.patience(upstream) * standing.tries,
        });
        Some(upstream)
    }

    /// Whether the last one asked has become late: then it is time to ask another.
    pub(super) fn check_late(&mut self, upstreams: &Upstreams, now: Instant) -> bool {
        let Some(latest) = self.latest.take_if(|latest| latest.late_at <= now) else {
            return false;
        };
        upstreams.overdue(latest.upstream, Asked::Question, latest.sent);
        true
    }

    /// This upstream has said its word; whether another is to be asked at once.
    pub(super) fn conclude(&mut self, upstreams: &Upstreams, upstream: UpstreamIndex) -> bool {
        if let Some(standing) = self.standing(upstream) {
            standing.done = true;
            if standing.open > 0 {
                standing.open -= 1;
                upstreams.settled(upstream, 1);
            }
        }
        let was_latest = self
            .latest
            .take_if(|latest| latest.upstream == upstream)
            .is_some();
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
    pub(super) fn take_poor(&mut self) -> Option<Box<[u8]>> {
        self.poor.take().map(|(message, _)| message)
    }

    /// Whether an upstream that lives may still give an answer.
    pub(super) fn has_hope(&self, upstreams: &Upstreams) -> bool {
        self.contenders
            .iter()
            .zip(&self.standings)
            .any(|(&upstream, standing)| {
                !standing.done
                    && (standing.tries < TRIES || standing.is_awaited())
                    && upstreams.is_up(upstream)
            })
    }

    /// When something is to be done about it.
    pub(super) fn wake_at(&self) -> Instant {
        let late_at = self.latest.map(|latest| latest.late_at);
        [late_at, self.waiters.soonest()]
            .into_iter()
            .flatten()
            .fold(self.deadline, Instant::min)
    }

    fn standing(&mut self, upstream: UpstreamIndex) -> Option<&mut Standing> {
        let place = self.contenders.iter().position(|&one| one == upstream)?;
        self.standings.get_mut(place)
    }
}

impl Standing {
    fn is_awaited(&self) -> bool {
        !self.done && self.open > 0
    }
}
