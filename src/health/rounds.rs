//! What a round of probes says about another program that answers for a service.
//!
//! There is nothing to read of that program but its answers: no heartbeat, no count of answered
//! clients. So each round asks over UDP and, once a second or while anything is wrong, over TCP
//! beside it, and both are judged together:
//!
//! ```text
//! UDP         TCP         lost datagrams      UDP counts as   TCP counts as   why
//! answered    answered    any                 good            good
//! answered    unanswered  any                 good            shed            its TCP slots are full
//! answered    refused     any                 good            bad             nobody listens there
//! refused     any         any                 bad             as it ended     nobody listens there
//! unanswered  answered    any                 shed            good            it lives: a flood
//! unanswered  unanswered  any                 unanswered      unanswered (*)  wedged, or gone
//! unanswered  refused     any                 unanswered      bad             wedged, or gone
//! unanswered  not asked   rising, under 10 s  shed            -               perhaps a flood
//! unanswered  not asked   rising for longer   unanswered      -               a flood ends, or it is
//!                                                                             wedged under traffic
//! unanswered  not asked   not rising          unanswered      -               wedged
//! ```
//! (*) shed in the first such round after an answer over TCP, as what was answered a moment ago: the
//! silence over UDP is the plainer evidence.
//!
//! `fall` times *bad* or *unanswered* in a row is a local fault, *shed* is overload and changes no
//! level. A wrong answer is bad like a refusal: neither comes from load, for the kernel refuses what
//! nobody listens for and loses what nobody reads. That datagrams are lost excuses no unanswered
//! probe over TCP: a wedged program under traffic loses them as well.

use std::time::{Duration, Instant};

use super::{ProbeOf, ProbeOutcome};

/// Time between two probes over TCP while all is well.
const TCP_INTERVAL: Duration = Duration::from_secs(1);
/// Good rounds until it is: a recovery is not to wait for a probe once a second.
const CALM_ROUNDS: u32 = 30;
/// How long lost datagrams explain unanswered probes where TCP cannot tell.
const FLOOD_MAX: Duration = Duration::from_secs(10);

/// How one question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// With an answer that shows what is wanted.
    Right,
    /// With another answer.
    Wrong,
    /// The kernel said that nobody listens there.
    Refused,
    /// Without an answer in time.
    Silence,
}

/// All that one round has shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// Over UDP.
    pub(super) udp: Answer,
    /// Over TCP; `None`: not asked.
    pub(super) tcp: Option<Answer>,
    /// Datagrams that the program's socket has lost so far; `None`: not known.
    pub(super) dropped: Option<u64>,
}

/// The rounds of one target so far.
#[derive(Clone, Debug)]
pub(super) struct Rounds {
    is_tcp_served: bool,
    /// Good rounds in a row, up to [`CALM_ROUNDS`].
    good: u32,
    tcp_asked_at: Option<Instant>,
    was_tcp_right: bool,
    silent_since: Option<Instant>,
    dropped: Option<u64>,
}

impl Rounds {
    /// `is_tcp_served`: false where the program has none, and so is never asked.
    pub(super) fn new(is_tcp_served: bool) -> Self {
        Self {
            is_tcp_served,
            good: 0,
            tcp_asked_at: None,
            was_tcp_right: false,
            silent_since: None,
            dropped: None,
        }
    }

    /// Whether the round that begins at `now` asks over TCP from its start. One whose question over
    /// UDP stays unanswered for a while asks as well, if [`Self::may_ask_tcp`].
    pub(super) fn wants_tcp(&self, now: Instant) -> bool {
        let is_due = self
            .tcp_asked_at
            .is_none_or(|at| now.duration_since(at) >= TCP_INTERVAL);
        self.is_tcp_served && (is_due || self.good < CALM_ROUNDS)
    }

    /// Whether it is ever asked over TCP.
    pub(super) fn may_ask_tcp(&self) -> bool {
        self.is_tcp_served
    }

    /// Takes the round that ended at `now`; what its probes count as.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        round: Round,
    ) -> impl Iterator<Item = (ProbeOf, ProbeOutcome)> + use<> {
        let has_lost = match (self.dropped, round.dropped) {
            (Some(before), Some(now)) => now != before,
            _ => false,
        };
        self.dropped = round.dropped;
        if round.udp == Answer::Silence {
            self.silent_since.get_or_insert(now);
        } else {
            self.silent_since = None;
        }
        let is_flood_over = self
            .silent_since
            .is_some_and(|since| now.duration_since(since) >= FLOOD_MAX);
        let udp = match (round.udp, round.tcp) {
            (Answer::Right, _) => ProbeOutcome::Good,
            (Answer::Wrong | Answer::Refused, _) => ProbeOutcome::Bad,
            (Answer::Silence, Some(Answer::Right | Answer::Wrong)) => ProbeOutcome::Shed,
            (Answer::Silence, None) if has_lost && !self.is_tcp_served && !is_flood_over => {
                ProbeOutcome::Shed
            }
            (Answer::Silence, Some(Answer::Refused | Answer::Silence) | None) => {
                ProbeOutcome::Unanswered
            }
        };
        let tcp = round.tcp.map(|tcp| match (tcp, round.udp) {
            (Answer::Right, _) => ProbeOutcome::Good,
            (Answer::Wrong | Answer::Refused, _) => ProbeOutcome::Bad,
            (Answer::Silence, Answer::Right | Answer::Wrong) => ProbeOutcome::Shed,
            (Answer::Silence, Answer::Silence) if self.was_tcp_right => ProbeOutcome::Shed,
            (Answer::Silence, Answer::Refused | Answer::Silence) => ProbeOutcome::Unanswered,
        });
        let has_fallen_silent = self.was_tcp_right && round.tcp != Some(Answer::Right);
        if round.tcp.is_some() {
            self.tcp_asked_at = Some(now);
            self.was_tcp_right = round.tcp == Some(Answer::Right);
        }
        let is_good = |outcome| outcome == ProbeOutcome::Good;
        self.good = if is_good(udp) && tcp.is_none_or(is_good) {
            (self.good + 1).min(CALM_ROUNDS)
        } else {
            0
        };
        let tcp = tcp.map(|outcome| (ProbeOf::Tcp, outcome));
        let udp = Some((ProbeOf::Address, udp));
        // Silence is weighed by what is known of TCP by then; else the plainer evidence comes first.
        let both = if round.udp == Answer::Silence && has_fallen_silent {
            [tcp, udp]
        } else {
            [udp, tcp]
        };
        both.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests;
