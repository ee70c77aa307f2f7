//! What follows a question, and when: no socket, no clock.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::reply::{self, Question};
use crate::script::{Condition, Delay, Instead, Name, QUEUE, Reaction, Script};

/// A server that follows a script.
#[derive(Debug)]
pub struct Play {
    script: Script,
    /// Of each rule.
    states: Vec<State>,
    random: SmallRng,
}

/// What has become of a rule.
#[derive(Clone, Debug, Default)]
struct State {
    /// How often it has matched.
    matched: u32,
    /// Until when it has questions to serve, if its capacity is limited.
    busy_until: Duration,
}

/// Something that a server does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// From the question on.
    pub after: Duration,
    /// What.
    pub what: What,
}

/// What a server does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Sends this.
    Message(Vec<u8>),
    /// Is not there: ICMP over UDP, a reset over TCP.
    Refused,
    /// Closes the connection.
    Closed,
}

impl Play {
    /// The same seed does the same.
    #[must_use]
    pub fn new(script: Script, seed: u64) -> Self {
        Self {
            states: vec![State::default(); script.rules.len()],
            script,
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// Follows another script from now on.
    pub fn follow(&mut self, script: Script) {
        self.states = vec![State::default(); script.rules.len()];
        self.script = script;
    }

    /// Whether nobody listens, whatever is asked.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        let first = self.script.rules.first();
        first.is_some_and(|rule| {
            matches!(rule.condition.name, Name::Any)
                && rule.condition.tcp.is_none()
                && rule.reaction.instead == Some(Instead::Refuse)
        })
    }

    /// What follows from a question that comes at `now` (since any moment), in the order of time;
    /// nothing without a rule for it.
    pub fn hear(&mut self, now: Duration, message: &[u8], is_tcp: bool) -> Vec<Due> {
        let Some(question) = Question::parse(message) else {
            return Vec::new();
        };
        let rules = self.script.rules.iter().zip(&mut self.states);
        for (rule, state) in rules {
            if !fits(&rule.condition, &question, is_tcp) {
                continue;
            }
            state.matched += 1;
            let (Condition { first, every, .. }, matched) = (&rule.condition, state.matched);
            if first.is_some_and(|first| matched > first)
                || every.is_some_and(|every| !matched.is_multiple_of(every))
            {
                continue;
            }
            let Some(wait) = state.wait(rule.reaction.capacity, now) else {
                return Vec::new();
            };
            let mut due = react(&question, &rule.reaction, is_tcp, &mut self.random);
            for one in &mut due {
                one.after += wait;
            }
            return due;
        }
        Vec::new()
    }
}

impl State {
    /// How long a question waits for its turn; `None`: it is lost.
    fn wait(&mut self, capacity: Option<u32>, now: Duration) -> Option<Duration> {
        let Some(capacity) = capacity.filter(|capacity| *capacity > 0) else {
            return Some(Duration::ZERO);
        };
        let wait = self.busy_until.saturating_sub(now);
        if wait > QUEUE {
            return None;
        }
        self.busy_until = now + wait + Duration::from_secs(1) / capacity;
        Some(wait)
    }
}

fn fits(condition: &Condition, question: &Question, is_tcp: bool) -> bool {
    let name = question.lower_name();
    let named = match &condition.name {
        Name::Any => true,
        Name::Is(other) => *other == name,
        // A label ends where the other name begins, for its first octet is a length.
        Name::Below(above) => name.len() > above.len() && is_below(&name, above),
    };
    let edns = question.edns.as_ref();
    let cookie = edns.and_then(|edns| edns.cookie.as_ref());
    named
        && condition.qtype.is_none_or(|qtype| qtype == question.qtype)
        && condition.tcp.is_none_or(|tcp| tcp == is_tcp)
        && condition.edns.is_none_or(|with| with == edns.is_some())
        && (!condition.dnssec_ok || edns.is_some_and(|edns| edns.dnssec_ok))
        && (!condition.marked || edns.is_some_and(|edns| edns.is_marked))
        && condition
            .server_cookie
            .is_none_or(|with| with == cookie.is_some_and(|cookie| cookie.len() > 8))
}

fn is_below(name: &[u8], above: &[u8]) -> bool {
    let mut rest = name;
    while let Some((&length, behind)) = rest.split_first() {
        let Some(parent) = behind.get(length.into()..).filter(|_| length > 0) else {
            return false;
        };
        if parent == above {
            return true;
        }
        rest = parent;
    }
    false
}

fn react(
    question: &Question,
    reaction: &Reaction,
    is_tcp: bool,
    random: &mut SmallRng,
) -> Vec<Due> {
    if random.random_range(0..100) < reaction.loss_percent {
        return Vec::new();
    }
    let after = match reaction.delay {
        Delay::None => Duration::ZERO,
        Delay::Between(least, most) => least + (most - least).mul_f64(random.random()),
        Delay::Exponential(mean) => {
            let chance: f64 = random.random();
            mean.mul_f64(-(1.0 - chance).ln())
        }
    };
    let what = match reaction.instead {
        Some(Instead::Silent) => return Vec::new(),
        Some(Instead::Refuse) => What::Refused,
        Some(Instead::Close) => What::Closed,
        None => What::Message(message(question, reaction, is_tcp)),
    };
    let [before, behind] = reaction.faults.forged;
    let mut forged = |count: u32| -> Vec<Due> {
        let forged = (0..count).map(|_| Due {
            after,
            what: What::Message(forge(question, random)),
        });
        forged.collect()
    };
    let mut all = forged(before);
    all.push(Due { after, what });
    all.extend(forged(behind));
    if reaction.faults.twice {
        all.extend(all.last().cloned());
    }
    all
}

fn message(question: &Question, reaction: &Reaction, is_tcp: bool) -> Vec<u8> {
    let mut message = reply::build(question, reaction, is_tcp);
    if let Some(raw) = &reaction.faults.raw {
        message.truncate(2);
        message.extend_from_slice(raw);
    }
    if let Some(octets) = reaction.faults.cut {
        message.truncate(octets);
    }
    message
}

/// What somebody sends who guesses the id: 192.0.2.66, which no script answers.
fn forge(question: &Question, random: &mut SmallRng) -> Vec<u8> {
    let guess = Question {
        id: random.random(),
        ..question.clone()
    };
    let reaction = Reaction {
        answers: vec!["192.0.2.66".to_owned()],
        ..Reaction::default()
    };
    reply::build(&guess, &reaction, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x01\0\x01";

    fn play(script: &str) -> Play {
        Play::new(Script::parse(script).unwrap(), 1)
    }

    fn answered(play: &mut Play) -> Option<Vec<u8>> {
        match play.hear(Duration::ZERO, QUESTION, false).pop()?.what {
            What::Message(message) => Some(message),
            What::Refused | What::Closed => None,
        }
    }

    #[test]
    fn the_first_rule_that_matches_and_still_holds_is_followed() {
        let mut play = play("*.example. A first 1 -> silent\n* -> rcode REFUSED");
        assert_eq!(answered(&mut play), None);
        assert_eq!(answered(&mut play).unwrap()[3] & 0x0F, 5);
    }

    #[test]
    fn an_answer_has_what_the_script_says() {
        let mut play = play("www.example. -> answer \"192.0.2.1\", ttl 7, ad, delay 5ms");
        let due = play.hear(Duration::ZERO, QUESTION, false);
        assert_eq!(due[0].after, Duration::from_millis(5));
        let message = answered(&mut play).unwrap();
        assert_eq!(
            message[..12],
            [0x12, 0x34, 0x81, 0xA0, 0, 1, 0, 1, 0, 0, 0, 0]
        );
        assert!(message.ends_with(&[0, 1, 0, 1, 0, 0, 0, 7, 0, 4, 192, 0, 2, 1]));
    }

    #[test]
    fn half_of_the_answers_are_lost_when_the_script_says_so() {
        let mut play = play("* -> echo, loss 50%");
        let came = (0..1000).filter(|_| answered(&mut play).is_some()).count();
        assert!((400..600).contains(&came), "{came}");
    }

    #[test]
    fn more_questions_than_a_server_can_serve_wait_and_then_are_lost() {
        let mut play = play("* -> echo, capacity 100");
        let mut hear = |at_ms| play.hear(Duration::from_millis(at_ms), QUESTION, false);
        let waits: Vec<_> = (0..7)
            .map(|_| hear(0).pop().map(|due| due.after.as_millis()))
            .collect();
        assert_eq!(
            waits,
            [
                Some(0),
                Some(10),
                Some(20),
                Some(30),
                Some(40),
                Some(50),
                None
            ]
        );
        assert_eq!(hear(60).len(), 1);
    }

    #[test]
    fn forged_answers_come_before_the_real_one() {
        let mut play = play("* -> echo, spoof-first 3");
        assert_eq!(play.hear(Duration::ZERO, QUESTION, false).len(), 4);
        assert_eq!(answered(&mut play).unwrap()[..2], [0x12, 0x34]);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        let error = Script::parse("* -> echo\n* -> sing").unwrap_err();
        assert_eq!(
            (error.line, error.problem.as_str()),
            (2, "what is \"sing\"?")
        );
    }
}
