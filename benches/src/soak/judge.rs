//! Whether an answer is one that Sidestep may give.
//!
//! Source: RFC 1035 §4.1, RFC 2181 §5.2 and §9 (TTLs, TC), RFC 6891 §6.1.2 (OPT), RFC 8767 §5 (stale),
//! RFC 8914 §4 (EDE).

use super::given::{Given, History};
use super::version::{Body, Key};

/// From the sending of a version to the judging of an answer with it, its lifetime left aside:
/// rounding and travel.
const SLACK_MS: u64 = 1_500;
/// For so long after a silence of the upstream a failure may be told: 2 s until it is given up, 1 s in
/// the cache, and the slack.
const SILENCE_MS: u64 = 3_000 + SLACK_MS;
/// Clocks are read in whole ms, at different places.
const GRAIN_MS: u64 = 20;
/// `[dns.stale] reply_ttl`.
const STALE_TTL_S: u32 = 30;
const SERVFAIL: u8 = 2;
const EDE: u16 = 15;
/// EDE of an expired answer, and of an expired NXDOMAIN.
const STALE: [u16; 2] = [3, 19];
const PLAIN_UDP_OCTETS: usize = 512;

/// A question under way.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) key: Key,
    /// Header, question, and the OPT if there is one.
    pub(super) message: Vec<u8>,
    pub(super) edns: bool,
    pub(super) over_udp: bool,
}

/// What a right answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fresh,
    Stale,
    /// SERVFAIL, after the upstream was silent or sent a truncated answer.
    Failure,
    Truncated,
}

impl Asked {
    fn question(&self) -> &[u8] {
        let end = self.message.len() - if self.edns { 11 } else { 0 };
        &self.message[12..end]
    }

    /// Judges `answer`, which came at `now_ms`, by what the upstream gave.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn judge(
        &self,
        answer: &[u8],
        history: &History,
        now_ms: u64,
        may_be_stale: bool,
    ) -> Result<Verdict, &'static str> {
        let head: &[u8; 12] = answer.first_chunk().ok_or("no header")?;
        let rest = &answer[12..];
        if head[..2] != self.message[..2] {
            return Err("another id");
        }
        // QR, RD and RA; opcode, AA, Z, AD and CD are 0.
        if head[2] & !0x02 != 0x81 || head[3] & 0xF0 != 0x80 {
            return Err("wrong flags");
        }
        let rest = rest
            .strip_prefix(self.question())
            .ok_or("another question, or another case")?;
        let counts = [4, 6, 8, 10].map(|at| u16::from_be_bytes([head[at], head[at + 1]]));
        if counts[0] != 1 || counts[3] != u16::from(self.edns) {
            return Err("wrong counts of questions or additional records");
        }
        let rcode = head[3] & 0x0F;
        if head[2] & 0x02 != 0 {
            self.end(rest)?;
            let may = self.over_udp && !self.edns && self.key.may_be_long();
            let long = history.given.iter().any(|given| self.is_long(given));
            return (may && long && counts[1..3] == [0, 0])
                .then_some(Verdict::Truncated)
                .ok_or("truncated without need");
        }
        if rcode == SERVFAIL {
            self.end(rest)?;
            let silent = |at_ms| now_ms.saturating_sub(at_ms) <= SILENCE_MS;
            return (counts[1..3] == [0, 0] && history.silent_ms.is_some_and(silent))
                .then_some(Verdict::Failure)
                .ok_or("SERVFAIL although the upstream answered");
        }
        let number = self.key.number_in(rest).ok_or("no version in it")?;
        let mut given = history.given.iter().rev();
        let given = given.find(|given| given.version.is_numbered(number));
        let given = given.ok_or("a version that was not given, or long ago")?;
        let body = given.version.body();
        if [u16::from(body.rcode), body.answers, body.authorities]
            != [rcode.into(), counts[1], counts[2]]
        {
            return Err("RCODE or counts of another version");
        }
        let (records, opt) = rest
            .split_at_checked(body.octets.len())
            .ok_or("too short")?;
        let ttls = ttls(records, &body)?;
        let reason = self.end(opt)?;
        let age_ms = now_ms.saturating_sub(given.at_ms);
        self.judge_age(given, &ttls, reason, age_ms, may_be_stale)
    }

    fn judge_age(
        &self,
        given: &Given,
        ttls: &[u32],
        reason: Option<u16>,
        age_ms: u64,
        may_be_stale: bool,
    ) -> Result<Verdict, &'static str> {
        let lifetime_s = given.version.lifetime_s();
        let lifetime_ms = u64::from(lifetime_s) * 1000;
        if ttls.iter().all(|&ttl_s| ttl_s <= lifetime_s) {
            if reason.is_some() {
                return Err("a reason (EDE) beside a fresh answer");
            }
            return (age_ms <= lifetime_ms + SLACK_MS)
                .then_some(Verdict::Fresh)
                .ok_or("an expired version with a TTL as if it were fresh");
        }
        if ttls.iter().any(|&ttl_s| ttl_s != STALE_TTL_S) {
            return Err("a TTL above what was given");
        }
        if !may_be_stale {
            return Err("a stale answer although they are off");
        }
        if age_ms + GRAIN_MS < lifetime_ms {
            return Err("a stale answer from a version that is fresh");
        }
        if self.edns && !reason.is_some_and(|reason| STALE.contains(&reason)) {
            return Err("a stale answer without its reason (EDE)");
        }
        Ok(Verdict::Stale)
    }

    fn is_long(&self, given: &Given) -> bool {
        let octets = 12 + self.question().len() + given.version.body().octets.len();
        octets > PLAIN_UDP_OCTETS
    }

    /// Reads the OPT, if one was asked with, and nothing behind it; the EDE in it.
    fn end(&self, rest: &[u8]) -> Result<Option<u16>, &'static str> {
        if !self.edns {
            return rest
                .is_empty()
                .then_some(None)
                .ok_or("octets behind the records");
        }
        let (fixed, mut options) = rest.split_first_chunk::<11>().ok_or("no OPT")?;
        if fixed[..3] != [0, 0, 41] || fixed[5..7] != [0, 0] {
            return Err("another record than an OPT, or an extended RCODE");
        }
        if usize::from(u16::from_be_bytes([fixed[9], fixed[10]])) != options.len() {
            return Err("octets behind the OPT");
        }
        let mut reason = None;
        while let Some((head, data)) = options.split_first_chunk::<4>() {
            let octets = u16::from_be_bytes([head[2], head[3]]).into();
            let (data, others) = data.split_at_checked(octets).ok_or("a broken option")?;
            if u16::from_be_bytes([head[0], head[1]]) == EDE {
                reason = data.first_chunk().copied().map(u16::from_be_bytes);
            }
            options = others;
        }
        options
            .is_empty()
            .then_some(reason)
            .ok_or("a broken option")
    }
}

/// The TTLs of records that are otherwise the same as those of `body`.
fn ttls(records: &[u8], body: &Body) -> Result<Vec<u32>, &'static str> {
    let mut expected = body.octets.clone();
    let mut ttls = Vec::with_capacity(body.ttls_at.len());
    for &at in &body.ttls_at {
        let ttl = records[at..].first_chunk::<4>().ok_or("too short")?;
        ttls.push(u32::from_be_bytes(*ttl));
        expected[at..at + 4].copy_from_slice(ttl);
    }
    (expected == records)
        .then_some(ttls)
        .ok_or("contents of another version")
}

#[cfg(test)]
mod tests;
