//! How one upstream is talked to by one worker, as a value: what it chokes on, and what its answers
//! have to carry besides id and question.
//!
//! Source: RFC 6891 §6.2.2 and §7 (servers without EDNS), RFC 7873 §5 and RFC 9018 §3 (cookies),
//! RFC 5452 §9.1 (what must match), §9.3 (what to do about guesses); mixed case is
//! draft-vixie-dnsext-dns0x20, on top of RFC 4343 §3.
//!
//! What an upstream turns out not to be able to do is left out for [`OFF_TIME`] and tried again then.
//! A guess must not bring that about: whoever knows port and question hits the id in one of 65,536
//! attempts, so what an answer lacks counts only if hardly any guess was seen since the question left;
//! otherwise such an answer is ignored.
//!
//! *Clients that set DO* get what the upstream can give: without OPT no signatures come, and a client
//! that validates finds the zone broken, as it would if it asked that upstream itself. Cookies are left
//! out before OPT is, so that no upstream loses OPT that merely dislikes options.

#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::super::DialectSettings;
use super::super::upstream::FailureKind;
use super::pending::Question;
use super::query::Edns;
use super::response::{Examined, Response};

mod cookies;
mod doubt;
mod fallback;

pub(super) use cookies::ClientCookie;

use cookies::{Cookies, Word};
use doubt::Doubt;
use fallback::{Fallback, Level};

/// For how long something is left out that an upstream cannot do.
pub(super) const OFF_TIME: Duration = Duration::from_secs(15 * 60);
/// So many answers that match no question on the socket of a question, while it is under way, are
/// taken for guesses at its answer.
pub(super) const SUSPICIOUS: u32 = 3;
/// RFC 7873 §8.
const BADCOOKIE: u16 = 23;

/// What one worker knows of one upstream's way to talk.
#[derive(Debug)]
pub(super) struct Dialect {
    settings: DialectSettings,
    fallback: Fallback,
    cookies: Cookies,
    case: Doubt,
    turned_off: Option<Part>,
}

/// How a question was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) edns: Edns,
    pub(super) has_cookie: bool,
    /// The case of its letters, see [`super::query::put_case`].
    pub(super) case: Option<u64>,
}

/// A message that has the id and the question of one that was sent, or no question at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard<'a> {
    pub(super) examined: Examined<'a>,
    /// Its letters are in the case that was sent, or there is no question.
    pub(super) keeps_case: bool,
    /// The cookie of the socket that it came on.
    pub(super) client: Option<ClientCookie>,
    /// Messages that came on the socket since the question left, and answer no question.
    pub(super) guesses: u32,
}

/// What to do with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is one.
    Accept,
    /// Nothing is wrong with it, but somebody is guessing: ask over TCP if there is a place for it.
    Suspect,
    /// It cannot be trusted and will not get better over UDP.
    AskOverTcp(FailureKind),
    /// Ask again: the cookie is a better one now. RFC 7873 §5.3.
    Repeat,
    /// Go on listening.
    Ignore {
        kind: FailureKind,
        /// Somebody who had seen the question would have done better.
        is_guess: bool,
    },
}

/// What can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// COOKIE is not sent.
    CookieOption,
    /// OPT is not sent.
    Edns,
    /// Answers without cookies are taken.
    CookieRequirement,
    /// Names are sent in lower case.
    MixedCase,
}

impl Part {
    /// For logs.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::CookieOption => "cookie option",
            Self::Edns => "edns",
            Self::CookieRequirement => "cookie requirement",
            Self::MixedCase => "mixed case",
        }
    }
}

impl Dialect {
    pub(super) fn new(settings: DialectSettings) -> Self {
        let highest = if settings.cookies {
            Level::Cookies
        } else {
            Level::Edns
        };
        Self {
            settings,
            fallback: Fallback::new(highest),
            cookies: Cookies::default(),
            case: Doubt::default(),
            turned_off: None,
        }
    }

    /// The cookie that a socket with this source address sends from now on; `None`: it sends none.
    pub(super) fn client_cookie(
        &mut self,
        source: IpAddr,
        now: Instant,
        draw: impl FnOnce() -> ClientCookie,
    ) -> Option<ClientCookie> {
        self.settings
            .cookies
            .then(|| self.cookies.client(source, now, draw))
    }

    /// The one that was given out last.
    pub(super) fn latest_cookie(&self) -> Option<ClientCookie> {
        self.cookies.latest()
    }

    /// How a question is put that is `asked` for so and has this fingerprint, from a socket with this
    /// cookie. A sibling's is never put without its mark.
    pub(super) fn choose(
        &mut self,
        (asked, fingerprint): (Edns, u64),
        client: Option<ClientCookie>,
        chance: impl FnOnce() -> u64,
        now: Instant,
    ) -> Sent {
        let level = match asked {
            Edns::Without => Level::Plain,
            Edns::With => self.fallback.choose(fingerprint, now),
            Edns::Sibling => self.fallback.level(now).max(Level::Edns),
        };
        Sent {
            edns: if level == Level::Plain {
                Edns::Without
            } else {
                asked
            },
            has_cookie: level == Level::Cookies
                && client.is_some()
                && client == self.latest_cookie(),
            case: (self.settings.mixed_case && !self.case.is_off(now)).then(chance),
        }
    }

    /// The EDNS options of a question that is put so.
    pub(super) fn options(&self, sent: Sent) -> &[u8] {
        if sent.has_cookie {
            self.cookies.option()
        } else {
            &[]
        }
    }

    /// Judges what has come over UDP, and learns from it.
    pub(super) fn judge(
        &mut self,
        question: &Question,
        heard: &Heard<'_>,
        now: Instant,
    ) -> Verdict {
        let (sent, response) = (question.sent_as, heard.examined.response);
        let is_clean = heard.guesses < SUSPICIOUS;
        // A truncated answer is harmless: it leads to TCP.
        let is_truncated = response == Response::Truncated;
        let word = cookies::read(
            heard.examined.cookie,
            heard.client.filter(|_| sent.has_cookie),
        );
        match word {
            Word::Wrong => {
                return Verdict::Ignore {
                    kind: FailureKind::Cookie,
                    is_guess: true,
                };
            }
            Word::Right { server } => self.cookies.learn(heard.client, server),
            Word::Absent if sent.has_cookie && !is_truncated && self.cookies.are_due(now) => {
                let turned_off = is_clean && self.cookies.doubt.strike(now);
                return self.lacks(
                    FailureKind::Cookie,
                    is_clean,
                    turned_off,
                    Part::CookieRequirement,
                );
            }
            Word::Absent => {}
        }
        if !heard.keeps_case && sent.case.is_some() && !is_truncated && !self.case.is_off(now) {
            let turned_off = is_clean && self.case.strike(now);
            return self.lacks(FailureKind::Case, is_clean, turned_off, Part::MixedCase);
        }
        let is_proven = matches!(word, Word::Right { .. });
        if is_proven && rcode(response) == Some(BADCOOKIE) {
            return if question.is_repeated {
                Verdict::AskOverTcp(FailureKind::Cookie)
            } else {
                Verdict::Repeat
            };
        }
        let level = Level::of(sent);
        let is_plain_wanted = question.attempt.edns == Edns::Without;
        let level = (level, question.fingerprint);
        let dropped = self
            .fallback
            .heard(level, is_plain_wanted, rcode(response), now);
        self.turned_off = dropped.or(self.turned_off);
        if is_clean || is_proven || is_truncated {
            Verdict::Accept
        } else {
            Verdict::Suspect
        }
    }

    /// An answer matches but for what a guess would lack as well.
    fn lacks(
        &mut self,
        kind: FailureKind,
        is_clean: bool,
        turned_off: bool,
        part: Part,
    ) -> Verdict {
        if turned_off {
            self.turned_off = Some(part);
        }
        if is_clean {
            Verdict::AskOverTcp(kind)
        } else {
            Verdict::Ignore {
                kind,
                is_guess: false,
            }
        }
    }

    /// Learns from an answer that came over TCP, which nobody has guessed.
    pub(super) fn heard_over_tcp(
        &mut self,
        sent: Sent,
        client: Option<ClientCookie>,
        cookie: Option<&[u8]>,
        keeps_case: bool,
        now: Instant,
    ) {
        match cookies::read(cookie, client.filter(|_| sent.has_cookie)) {
            Word::Right { server } => self.cookies.learn(client, server),
            Word::Absent if sent.has_cookie => self.cookies.forget_if_doubted(now),
            Word::Absent | Word::Wrong => {}
        }
        if sent.case.is_some() && !keeps_case && self.case.is_raised(now) {
            self.case.turn_off(now);
            self.turned_off = Some(Part::MixedCase);
        }
    }

    /// The question with this fingerprint was put with OPT, and not answered at all.
    pub(super) fn unanswered(&mut self, fingerprint: u64, now: Instant) {
        let dropped = self.fallback.unanswered(fingerprint, now);
        self.turned_off = dropped.or(self.turned_off);
    }

    /// What has just been turned off, once.
    pub(super) fn take_turned_off(&mut self) -> Option<Part> {
        self.turned_off.take()
    }
}

fn rcode(response: Response) -> Option<u16> {
    match response {
        Response::Complete { rcode, .. } | Response::Headless { rcode } => Some(rcode),
        Response::Foreign | Response::Truncated | Response::Malformed => None,
    }
}

#[cfg(test)]
mod tests;
