//! What Prometheus sees of siblings. The label is an address on the list: at most sixteen.

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::{PeerState, Peers};

/// The siblings' share of the registry.
#[derive(Clone, Debug)]
pub struct Metrics {
    reached: IntGaugeVec,
    able: IntGaugeVec,
    hears_us: IntGaugeVec,
    rtt: GaugeVec,
    questions: IntCounterVec,
    answers: IntCounterVec,
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// When `registry` has metrics of these names already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name, help| IntGaugeVec::new(Opts::new(name, help), &["peer"]);
        let counter = |name, help| IntCounterVec::new(Opts::new(name, help), &["peer"]);
        let metrics = Self {
            reached: gauge(
                "sidestep_peer_reached",
                "1 while a sibling has answered within the last 3 s.",
            )?,
            able: gauge(
                "sidestep_peer_able",
                "1 while a sibling says that it can resolve; absent while it is not known.",
            )?,
            hears_us: gauge(
                "sidestep_peer_hears_us",
                "0 while a sibling says that this node does not answer it; absent while it is not known.",
            )?,
            rtt: GaugeVec::new(
                Opts::new(
                    "sidestep_peer_rtt_seconds",
                    "How long the last answer of a sibling took.",
                ),
                &["peer"],
            )?,
            questions: counter(
                "sidestep_peer_questions_total",
                "Questions to a sibling about itself.",
            )?,
            answers: counter(
                "sidestep_peer_answers_total",
                "Answers to these that came in time.",
            )?,
        };
        registry.register(Box::new(metrics.reached.clone()))?;
        registry.register(Box::new(metrics.able.clone()))?;
        registry.register(Box::new(metrics.hears_us.clone()))?;
        registry.register(Box::new(metrics.rtt.clone()))?;
        registry.register(Box::new(metrics.questions.clone()))?;
        registry.register(Box::new(metrics.answers.clone()))?;
        Ok(metrics)
    }

    /// Shows what is known now.
    pub fn refresh(&self, peers: &Peers) {
        for state in peers.states() {
            self.show(&state);
        }
    }

    fn show(&self, state: &PeerState) {
        let label = state.address.to_string();
        let label = [label.as_str()];
        let reached = self.reached.with_label_values(&label);
        reached.set(state.is_reached.into());
        for (gauge, flag) in [(&self.able, state.able), (&self.hears_us, state.hears_us)] {
            match flag {
                Some(flag) => gauge.with_label_values(&label).set(flag.into()),
                // Absent it was as well.
                None => drop(gauge.remove_label_values(&label)),
            }
        }
        if let Some(rtt) = state.rtt {
            self.rtt.with_label_values(&label).set(rtt.as_secs_f64());
        }
        for (counter, total) in [
            (&self.questions, state.questions),
            (&self.answers, state.answers),
        ] {
            let counter = counter.with_label_values(&label);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::disallowed_methods,
        reason = "simulated time needs a starting point"
    )]

    use std::time::{Duration, Instant};

    use super::super::PeerWord;
    use super::*;

    fn rendered(registry: &Registry) -> String {
        let encoder = prometheus::TextEncoder::new();
        encoder.encode_to_string(&registry.gather()).unwrap()
    }

    #[test]
    fn a_scrape_tells_what_is_known_of_each_sibling_and_nothing_that_is_not() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        assert!(Metrics::register(&registry).is_err());
        let now = Instant::now();
        let siblings = ["10.0.0.2:53".parse().unwrap()];
        let own = ["10.0.0.1".parse().unwrap()];
        let mut peers = Peers::new(&siblings, &own, 1, 7, now);
        peers.handle_timeout(now);
        let question = peers.poll_transmit().unwrap();
        metrics.refresh(&peers);
        let text = rendered(&registry);
        assert!(text.contains("sidestep_peer_reached{peer=\"10.0.0.2:53\"} 0\n"));
        assert!(text.contains("sidestep_peer_questions_total{peer=\"10.0.0.2:53\"} 1\n"));
        assert!(!text.contains("sidestep_peer_able{"), "{text}");
        let word = PeerWord {
            able: Some(true),
            hears_us: Some(false),
            preferred: None,
            lowered: None,
            node: None,
        };
        peers.handle_answer(now + Duration::from_millis(250), question, word);
        metrics.refresh(&peers);
        metrics.refresh(&peers);
        let text = rendered(&registry);
        for line in [
            "sidestep_peer_reached{peer=\"10.0.0.2:53\"} 1\n",
            "sidestep_peer_able{peer=\"10.0.0.2:53\"} 1\n",
            "sidestep_peer_hears_us{peer=\"10.0.0.2:53\"} 0\n",
            "sidestep_peer_rtt_seconds{peer=\"10.0.0.2:53\"} 0.25\n",
            "sidestep_peer_questions_total{peer=\"10.0.0.2:53\"} 1\n",
            "sidestep_peer_answers_total{peer=\"10.0.0.2:53\"} 1\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        while peers.states().any(|state| state.is_reached) {
            let due = peers.poll_timeout().unwrap();
            peers.handle_timeout(due);
        }
        metrics.refresh(&peers);
        assert!(!rendered(&registry).contains("sidestep_peer_able{"));
    }
}
