//! One address of a sibling: the question under way, and what was heard.

use std::time::{Duration, Instant};

use super::{
    ANSWER_LIMIT, DEAF_TO_BELIEVE, MISSES_TO_TELL, PeerAddress, PeerEvent, PeerState, PeerWord,
    REACHED_FOR,
};

#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) address: PeerAddress,
    pub(super) next_at: Instant,
    under_way: Option<UnderWay>,
    word: PeerWord,
    is_reached: bool,
    /// Of the last event.
    told_reached: bool,
    /// `None`: it has not answered, or too long ago.
    reached_until: Option<Instant>,
    /// Questions in a row without an answer.
    missed: u32,
    /// Answers in a row that say that this node does not answer.
    deaf: u32,
    rtt: Option<Duration>,
    since: Instant,
    questions: u64,
    answers: u64,
}

#[derive(Clone, Copy, Debug)]
struct UnderWay {
    number: u64,
    sent_at: Instant,
    is_taken: bool,
}

/// What one address, or all of a node, say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    pub(super) is_reached: bool,
    pub(super) is_able: bool,
    /// The marks of services that are not preferred, a bit for each.
    pub(super) lowered: u32,
    /// Gets no answers of this node.
    pub(super) is_deaf: bool,
    /// Gets some.
    pub(super) hears: bool,
}

impl Standing {
    /// Whether some service is not preferred.
    pub(super) fn is_lowered(&self) -> bool {
        self.lowered != 0
    }

    /// Whether that is another one than those with this mark.
    pub(super) fn spares(&self, mark: usize) -> bool {
        self.is_lowered() && self.lowered >> mark & 1 == 0
    }

    /// Takes what another address of the same node says.
    pub(super) fn join(&mut self, other: Self) {
        self.is_reached |= other.is_reached;
        self.is_able |= other.is_able;
        self.lowered |= other.lowered;
        self.is_deaf |= other.is_deaf;
        self.hears |= other.hears;
    }
}

impl Peer {
    pub(super) fn new(address: PeerAddress, now: Instant) -> Self {
        Self {
            address,
            next_at: now,
            under_way: None,
            word: PeerWord::default(),
            is_reached: false,
            told_reached: false,
            reached_until: None,
            missed: 0,
            deaf: 0,
            rtt: None,
            since: now,
            questions: 0,
            answers: 0,
        }
    }

    pub(super) fn ask(&mut self, now: Instant, number: u64, next_at: Instant) {
        self.under_way = Some(UnderWay {
            number,
            sent_at: now,
            is_taken: false,
        });
        self.next_at = next_at;
    }

    pub(super) fn take_question(&mut self) -> Option<u64> {
        let question = self.under_way.as_mut().filter(|q| !q.is_taken)?;
        question.is_taken = true;
        self.questions += 1;
        Some(question.number)
    }

    pub(super) fn awaits(&self, number: u64) -> bool {
        self.under_way.is_some_and(|q| q.number == number)
    }

    pub(super) fn record_answer(&mut self, now: Instant, word: PeerWord) {
        self.give_up(now);
        let Some(question) = self.under_way.take() else {
            return;
        };
        self.answers += 1;
        self.missed = 0;
        self.rtt = Some(now.saturating_duration_since(question.sent_at));
        self.reached_until = Some(now + REACHED_FOR);
        self.word = word;
        self.deaf = match word.hears_us {
            Some(false) => self.deaf.saturating_add(1),
            Some(true) | None => 0,
        };
    }

    pub(super) fn forget_question(&mut self) {
        self.under_way = None;
    }

    /// Counts a question that was not answered in time.
    pub(super) fn give_up(&mut self, now: Instant) {
        if self.due().is_some_and(|due| due <= now) {
            self.under_way = None;
            self.missed = self.missed.saturating_add(1);
        }
    }

    /// This node has been asleep: who was reached still is, and all are asked again.
    pub(super) fn wake(&mut self, now: Instant) {
        self.under_way = None;
        self.missed = 0;
        self.deaf = 0;
        self.next_at = now;
        self.reached_until = self.reached_until.map(|_| now + REACHED_FOR);
    }

    pub(super) fn settle(&mut self, now: Instant) {
        let is_reached = self.reached_until.is_some_and(|until| now < until);
        if is_reached != self.is_reached {
            self.is_reached = is_reached;
            self.since = now;
        }
        if !is_reached {
            self.reached_until = None;
            self.deaf = 0;
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<PeerEvent> {
        if self.is_reached == self.told_reached {
            return None;
        }
        self.told_reached = self.is_reached;
        Some(PeerEvent::Reached {
            address: self.address.address,
            is_reached: self.is_reached,
        })
    }

    pub(super) fn standing(&self) -> Standing {
        let is_reached = self.is_reached;
        Standing {
            is_reached,
            is_able: is_reached && self.word.able == Some(true),
            lowered: match (is_reached, self.word.preferred) {
                (true, Some(false)) => self.word.lowered.filter(|m| *m != 0).unwrap_or(u32::MAX),
                (_, Some(_) | None) => 0,
            },
            is_deaf: is_reached && self.deaf >= DEAF_TO_BELIEVE,
            hears: is_reached && self.word.hears_us == Some(true),
        }
    }

    pub(super) fn state(&self) -> PeerState {
        PeerState {
            address: self.address.address,
            node: self.word.node,
            is_reached: self.is_reached,
            able: self.word.able.filter(|_| self.is_reached),
            hears_us: self.word.hears_us.filter(|_| self.is_reached),
            rtt: self.rtt,
            since: self.since,
            questions: self.questions,
            answers: self.answers,
            heard: self.heard(),
        }
    }

    fn heard(&self) -> Option<bool> {
        if self.is_reached {
            return Some(true);
        }
        (self.missed >= MISSES_TO_TELL).then_some(false)
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        let due = self.due().into_iter().chain(self.reached_until);
        due.fold(self.next_at, Instant::min)
    }

    pub(super) fn node(&self) -> Option<u32> {
        self.word.node
    }

    fn due(&self) -> Option<Instant> {
        self.under_way.map(|q| q.sent_at + ANSWER_LIMIT)
    }
}
