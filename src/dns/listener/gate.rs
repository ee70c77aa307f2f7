//! Where messages of limited clients are held up: before they are read, before upstreams are asked on
//! their behalf, and before answers leave.

use std::cell::RefCell;
use std::net::IpAddr;
use std::time::Instant;

use super::super::client::{Prefix, PrefixLengths};
use super::super::counters::WorkerCounters;
use super::super::limit::{
    Limiter, Proof, Reason, Seat, Verdict, has_additional, shorten, write_short,
};
use super::super::request::Transport;
use super::super::serve::{Buffers, Worker};
use super::super::shared::Shared;
use super::desk::Taken;

/// What a refusal has beyond its question: an OPT record with the reason. RFC 8914 §2.
const REFUSAL_EXTRA: usize = 11 + 6;

/// The limits of one worker.
#[derive(Debug)]
pub(super) struct Gate {
    limiter: RefCell<Limiter>,
    lengths: PrefixLengths,
    /// Whether clients have cookies that prove who they are.
    has_cookies: bool,
}

/// How a message has got in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pass {
    /// No limit holds.
    Free,
    /// Anybody could have sent it.
    Unproven(Seat, Prefix),
    /// It has not been judged: it may prove who sent it.
    Unread(Seat, Prefix),
    /// The sender may not ask; whether it is told so.
    Stranger { is_told: bool },
}

/// The client whose limits hold for an answer that comes later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limited(Option<Prefix>);

impl Gate {
    pub(super) fn new(shared: &Shared, now: Instant) -> Self {
        let workers = shared.workers().len().try_into();
        let workers = workers.unwrap_or(std::num::NonZeroUsize::MIN);
        Self {
            limiter: RefCell::new(Limiter::new(shared.limits(), workers, now)),
            lengths: shared.prefix_lengths(),
            has_cookies: shared.cookie_secrets().is_some(),
        }
    }

    /// Lets a message in, or says what has become of it.
    pub(super) fn enter(
        &self,
        worker: &Worker,
        message: &[u8],
        (client, transport): (IpAddr, Transport),
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Pass, Taken> {
        let access = worker.shared().access().of(client);
        if access.is_unlimited() {
            return Ok(Pass::Free);
        }
        let prefix = Prefix::of(client, self.lengths);
        let mut limiter = self.limiter.borrow_mut();
        // Only with its marker is it one; nobody can seem to be at its address by TCP.
        let may_be_sibling = has_additional(message) && worker.shared().is_sibling(client);
        if transport == Transport::Tcp {
            if may_be_sibling || limiter.admits_stream(prefix, now) {
                return Ok(Pass::Free);
            }
            return Err(Taken::TooSoon);
        }
        if access.is_none() {
            let is_told = limiter.refuses_aloud(prefix, now);
            if is_told || may_be_sibling {
                return Ok(Pass::Stranger { is_told });
            }
            worker.counters().limit_drops.bump(Reason::Refused);
            return Err(Taken::Drop);
        }
        let may_prove = may_be_sibling || self.has_cookies && has_additional(message);
        let seat = limiter.seat(prefix, now);
        if may_prove {
            return Ok(Pass::Unread(seat, prefix));
        }
        let verdict = limiter.judge(seat, Proof::None, message);
        let start = out.len();
        match apply(worker.counters(), verdict, out, start, |out| {
            write_short(out, message)
        }) {
            None => Ok(Pass::Unproven(seat, prefix)),
            Some(taken) => Err(taken),
        }
    }

    /// Judges what could not be judged before it was read, or says what has become of it. What has
    /// been written from `start` on answers the message.
    pub(super) fn admit(
        &self,
        worker: &Worker,
        pass: Pass,
        buffers: &Buffers,
        message: &[u8],
        (out, start): (&mut Vec<u8>, usize),
    ) -> Result<Pass, Taken> {
        let (verdict, pass) = match pass {
            Pass::Unread(..) | Pass::Stranger { .. } if buffers.is_sibling => {
                return Ok(Pass::Free);
            }
            Pass::Free | Pass::Unproven(..) | Pass::Stranger { is_told: true } => return Ok(pass),
            Pass::Stranger { is_told: false } => (Verdict::Drop(Reason::Refused), pass),
            Pass::Unread(seat, prefix) => {
                let (proof, pass) = if buffers.verified {
                    (Proof::Cookie, Pass::Free)
                } else {
                    (Proof::None, Pass::Unproven(seat, prefix))
                };
                let verdict = self.limiter.borrow_mut().judge(seat, proof, message);
                (verdict, pass)
            }
        };
        match apply(worker.counters(), verdict, out, start, |out| {
            out.truncate(start);
            write_short(out, message)
        }) {
            None => Ok(pass),
            Some(taken) => Err(taken),
        }
    }

    /// Lets the answer from `start` on out, or says what has become of it.
    pub(super) fn leave(
        &self,
        worker: &Worker,
        pass: Pass,
        message: &[u8],
        (out, start): (&mut Vec<u8>, usize),
    ) -> Taken {
        match pass {
            Pass::Free | Pass::Unread(..) => Taken::Reply,
            Pass::Stranger { .. } => {
                if out.len() - start > message.len() + REFUSAL_EXTRA {
                    shorten(out, start);
                }
                Taken::Reply
            }
            Pass::Unproven(seat, _) => self.charge(worker, seat, (out, start)),
        }
    }

    /// The same for an answer that comes later; it is gone from `out` if it may not leave.
    pub(super) fn leave_late(
        &self,
        worker: &Worker,
        Limited(client): Limited,
        now: Instant,
        out: (&mut Vec<u8>, usize),
    ) {
        if let Some(client) = client {
            let seat = self.limiter.borrow_mut().seat(client, now);
            self.charge(worker, seat, out);
        }
    }

    /// How often something was forgotten for want of room.
    pub(super) fn evictions(&self) -> u64 {
        self.limiter.borrow().evictions()
    }

    fn charge(&self, worker: &Worker, seat: Seat, (out, start): (&mut Vec<u8>, usize)) -> Taken {
        let answer = out.get(start..).unwrap_or_default();
        let verdict = self.limiter.borrow_mut().charge(seat, answer);
        let over = apply(worker.counters(), verdict, out, start, |out| {
            shorten(out, start)
        });
        over.unwrap_or(Taken::Reply)
    }
}

impl Pass {
    /// Whose limits hold for the answer.
    pub(super) fn limited(self) -> Limited {
        Limited(match self {
            Self::Free | Self::Stranger { .. } => None,
            Self::Unproven(_, client) | Self::Unread(_, client) => Some(client),
        })
    }
}

/// Does what a verdict says, and counts it; `None` when there is nothing to do. `shorten` leaves a
/// short answer from `start` on, and says whether it could.
fn apply(
    counters: &WorkerCounters,
    verdict: Verdict,
    out: &mut Vec<u8>,
    start: usize,
    shorten: impl FnOnce(&mut Vec<u8>) -> bool,
) -> Option<Taken> {
    let reason = match verdict {
        Verdict::Serve => return None,
        Verdict::Slip(reason) => {
            if shorten(out) {
                counters.limit_truncated.bump(reason);
                return Some(Taken::Reply);
            }
            reason
        }
        Verdict::Drop(reason) => reason,
    };
    out.truncate(start);
    counters.limit_drops.bump(reason);
    Some(Taken::Drop)
}

#[cfg(test)]
mod tests;
