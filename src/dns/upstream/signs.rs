//! What the workers and upkeep tell of upstreams, and whom it wakes.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::evidence::Evidence;
use super::state::{Effect, State};
use super::{Asked, FailureKind, UpstreamIndex, Upstreams, ZoneIndex};

impl Upstreams {
    /// A client's question is sent: it is in flight until [`Upstreams::settled`].
    pub fn asked(&self, index: UpstreamIndex) {
        let state = self.state(index);
        state.queries.fetch_add(1, Ordering::Relaxed);
        state.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// So many clients' questions to this upstream are no longer waited for, answered or not.
    pub fn settled(&self, index: UpstreamIndex, questions: u32) {
        let state = self.state(index);
        state.in_flight.fetch_sub(questions, Ordering::Relaxed);
        state.loss.ended(questions);
    }

    /// A matching answer arrived: whatever it says, the upstream lives.
    pub fn answered(&self, index: UpstreamIndex, asked: Asked, sent: Instant, now: Instant) {
        let state = self.state(index);
        let took = now.saturating_duration_since(sent);
        match asked {
            Asked::Question => {
                if took <= self.patience(index) {
                    state.loss.answered();
                }
                state.question_rtt.sample(took);
                state.answer_times.sample(took);
            }
            Asked::Probe => self.sample_probe(index, sent, now),
        }
        let effect = state.answered(self.micros(now));
        self.tell(state, effect);
    }

    /// After an outage of the link the probes of the outage are answered late and all at once. They
    /// must not make the next outage be noticed a second later: of such a burst one counts, and
    /// never for more than the present patience, which then grows by less than twice.
    fn sample_probe(&self, index: UpstreamIndex, sent: Instant, now: Instant) {
        let (state, (_, patience)) = (self.state(index), self.probe_patience(index));
        let took = now.saturating_duration_since(sent);
        if took <= patience || !state.answered_since(self.micros(sent)) {
            state.probe_rtt.sample(took.min(patience));
        }
        // Else it has been taken for lost, and has counted as such.
        if took <= patience {
            state.speed.sample(took);
            state.loss.probe_answered();
        }
    }

    /// The answer to a probe has an acceptable RCODE; told besides [`Upstreams::answered`].
    pub fn probe_accepted(&self, index: UpstreamIndex, now: Instant) {
        let state = self.state(index);
        let effect = state.recovered(self.micros(now));
        self.tell(state, effect);
    }

    /// The answer to a probe is an error, or a sibling's word that it cannot help; told besides
    /// [`Upstreams::answered`].
    pub fn probe_declined(&self, index: UpstreamIndex, now: Instant) {
        let state = self.state(index);
        let effect = state.declined_probe(self.micros(now));
        self.tell(state, effect);
        if state.is_sibling() {
            self.sibling_refused(index);
        }
    }

    /// Something sent at `sent` is late: suspicion, if nothing was answered since.
    pub fn overdue(&self, index: UpstreamIndex, asked: Asked, sent: Instant) {
        let state = self.state(index);
        if asked == Asked::Question {
            state.timeouts.fetch_add(1, Ordering::Relaxed);
        }
        let effect = state.overdue(self.micros(sent));
        self.tell(state, effect);
    }

    /// A probe sent at `sent` counts as unanswered.
    pub fn probe_missed(&self, index: UpstreamIndex, sent: Instant, now: Instant) {
        let (state, (_, patience)) = (self.state(index), self.probe_patience(index));
        state.speed.sample(patience);
        state.loss.probe_lost();
        let effect = state.missed(self.micros(sent), self.micros(now));
        self.tell(state, effect);
    }

    /// The network says that nobody listens there: counts like an unanswered probe, at once.
    pub fn refused(&self, index: UpstreamIndex, now: Instant) {
        let state = self.state(index);
        state.count_failure(FailureKind::Refused);
        let effect = state.missed(self.micros(now), self.micros(now));
        self.tell(state, effect);
    }

    /// A client's question was answered with an acceptable RCODE; told besides
    /// [`Upstreams::answered`].
    pub fn good_answer(&self, index: UpstreamIndex, now: Instant) {
        self.state(index).good_answer(self.micros(now));
    }

    /// A client's question was answered with another RCODE, which may say something about the
    /// upstream. Told once for each such answer, when it is known whether another upstream knows
    /// better.
    ///
    /// Errors open the breaker only when they come from several client prefixes and are about several
    /// domains. Where all clients of a node share a prefix they never do: questions then turn to the
    /// next upstream one by one, and this one is asked last.
    pub fn poor_answer(&self, index: UpstreamIndex, evidence: &Evidence, now: Instant) {
        let state = self.state(index);
        let has_others = self
            .members(ZoneIndex(state.zone))
            .any(|other| other != index && self.is_up(other));
        let effect = state.poor_answer(evidence, has_others, self.micros(now));
        self.tell(state, effect);
    }

    /// A sibling says that it cannot help: its upstreams are dead too, or it has no room. It lives, and
    /// has its cache: it is asked on, within a ration, until it answers a probe as it should.
    pub fn sibling_refused(&self, index: UpstreamIndex) {
        let state = self.state(index);
        let effect = state.declined();
        self.tell(state, effect);
    }

    /// A TCP exchange came to nothing. Says nothing about UDP.
    pub fn tcp_failed(&self, index: UpstreamIndex, now: Instant) {
        let (state, now_us) = (self.state(index), self.micros(now));
        state.tcp.failed(now_us, state.jitter(now_us));
    }

    /// A question was answered over TCP.
    pub fn tcp_answered(&self, index: UpstreamIndex, _now: Instant) {
        let state = self.state(index);
        state.tcp.answered();
        // Where it was asked over TCP alone, nothing else tells that the question was not lost.
        state.loss.answered();
    }

    /// Whether to try TCP with this upstream. After failures in a row it is tried for 20 ms after
    /// 250 ms, then after longer times of up to 4 s, until a question is answered.
    #[must_use]
    pub fn tcp_usable(&self, index: UpstreamIndex, now: Instant) -> bool {
        let (state, now_us) = (self.state(index), self.micros(now));
        state.tcp.is_usable(now_us, state.jitter(now_us))
    }

    /// Counts a failure that says nothing about whether the upstream lives.
    pub fn failed(&self, index: UpstreamIndex, kind: FailureKind) {
        self.state(index).count_failure(kind);
    }

    /// How often a kind of failure was counted.
    #[must_use]
    pub fn failures(&self, index: UpstreamIndex, kind: FailureKind) -> u64 {
        self.state(index).failures(kind)
    }

    /// A worker had too many questions under way.
    pub fn count_saturated(&self) {
        self.saturated.fetch_add(1, Ordering::Relaxed);
    }

    /// How often a worker had too many questions under way.
    #[must_use]
    pub fn saturated(&self) -> u64 {
        self.saturated.load(Ordering::Relaxed)
    }

    /// The node's way into the network has changed: a link is back, or a default route is new. What
    /// could not be reached may well be reached now.
    pub fn way_changed(&self) {
        self.ways.fetch_add(1, Ordering::Release);
        for state in &self.states {
            state.wake.notify_one();
        }
    }

    /// How often that has happened.
    #[must_use]
    pub fn ways(&self) -> u64 {
        self.ways.load(Ordering::Acquire)
    }

    pub(super) fn tell(&self, state: &State, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::Questionable => state.wake.notify_one(),
            // Siblings are not probed while nobody needs them.
            Effect::Suspected if state.is_sibling() => state.wake.notify_one(),
            // The others of the zone are looked at too: they are needed now.
            Effect::Suspected => {
                for index in self.zone(state).upstreams.clone() {
                    self.state(UpstreamIndex(index)).wake.notify_one();
                }
            }
            Effect::WentDown => {
                self.losses.fetch_add(1, Ordering::Release);
                self.tell_flip(state);
                self.wake_dead_ones(state);
            }
            Effect::CameUp => {
                self.tell_flip(state);
                self.wake_dead_ones(state);
            }
        }
    }

    /// How soon those of a zone that are down are probed depends on whether another one is up.
    fn wake_dead_ones(&self, changed: &State) {
        if changed.is_sibling() {
            return;
        }
        let members = self.zone(changed).upstreams.clone();
        let states = members.map(|index| self.state(UpstreamIndex(index)));
        for state in states.filter(|state| !state.is_up()) {
            state.wake.notify_one();
        }
    }

    fn tell_flip(&self, state: &State) {
        state.wake.notify_one();
        self.flips.notify_one();
    }
}
