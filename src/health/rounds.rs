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
//! unanswered  answered    any                 shed (**)       good            it lives: a flood
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
//! (**) shed while load may explain it: for 10 s, and for 10 s after each sign of load, which is an
//! answer that came too late, lost datagrams, or that nobody knows whether any were lost. Then
//! *bad*: what reads its datagrams is dead, or one of the threads that do. From the 10 s on each
//! round asks from a new port as well, and when for a minute not one question was answered over UDP,
//! not even late, from any port, no load explains that any more: of a program that reads one datagram
//! in fifty some would have been answered among six hundred.
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
/// How long lost datagrams explain unanswered probes where TCP cannot tell, and a sign of load where it
/// can.
const FLOOD_MAX: Duration = Duration::from_secs(10);
/// Load explains no longer that nothing at all is answered over UDP.
const MUTE_MAX: Duration = Duration::from_secs(60);

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
    /// An earlier question over UDP was answered meanwhile.
    pub(super) is_late: bool,
    /// Over UDP from a new port; `None`: not asked.
    pub(super) fresh: Option<Answer>,
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
    /// Since when no question at all was answered over UDP, not even late.
    mute_since: Option<Instant>,
    /// When load last explained silence.
    loaded_at: Option<Instant>,
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
            mute_since: None,
            loaded_at: None,
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

    /// Whether the round that begins at `now` asks over UDP from a new port too.
    pub(super) fn wants_fresh(&self, now: Instant) -> bool {
        self.is_tcp_served && has_lasted(self.silent_since, now, FLOOD_MAX)
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
        self.note_silence(now, round, has_lost);
        let is_flood_over = has_lasted(self.silent_since, now, FLOOD_MAX);
        let is_explained = self.is_explained(now);
        let udp = match (round.udp, round.tcp) {
            (Answer::Right, _) => ProbeOutcome::Good,
            (Answer::Wrong | Answer::Refused, _) => ProbeOutcome::Bad,
            (Answer::Silence, Some(Answer::Right | Answer::Wrong)) if is_explained => {
                ProbeOutcome::Shed
            }
            (Answer::Silence, None) if has_lost && !self.is_tcp_served && !is_flood_over => {
                ProbeOutcome::Shed
            }
            // Not as unanswered: that it answers over TCP would excuse that.
            (Answer::Silence, Some(Answer::Right | Answer::Wrong)) => ProbeOutcome::Bad,
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

    fn note_silence(&mut self, now: Instant, round: Round, has_lost: bool) {
        if round.udp != Answer::Silence {
            self.silent_since = None;
            self.mute_since = None;
            self.loaded_at = None;
            return;
        }
        self.silent_since.get_or_insert(now);
        if round.is_late || round.fresh.is_some_and(|fresh| fresh != Answer::Silence) {
            self.mute_since = None;
        } else {
            self.mute_since.get_or_insert(now);
        }
        if round.is_late || has_lost || round.dropped.is_none() {
            self.loaded_at = Some(now);
        }
    }

    /// Whether load may be why UDP is silent though TCP answers.
    fn is_explained(&self, now: Instant) -> bool {
        let is_new = !has_lasted(self.silent_since, now, FLOOD_MAX);
        let is_loaded = self
            .loaded_at
            .is_some_and(|at| now.duration_since(at) < FLOOD_MAX);
        (is_new || is_loaded) && !has_lasted(self.mute_since, now, MUTE_MAX)
    }
}

fn has_lasted(since: Option<Instant>, now: Instant, least: Duration) -> bool {
    since.is_some_and(|since| now.duration_since(since) >= least)
}

#[cfg(test)]
mod tests;
