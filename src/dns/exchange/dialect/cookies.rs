//! DNS cookies towards one upstream.
//!
//! Source: RFC 7873 §4 (the option), §5.1 and §5.3 (client), §7.1 (lifetime of what cookies are made
//! of); RFC 9018 §3 (a client cookie is 64 bits of chance for one server and one own address).
//! Deviates from RFC 7873 §5.3: an answer without a cookie is taken from an upstream that has not
//! returned any yet, for most servers know no cookies; from others it leads to TCP, which tells.

#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::super::super::walk::option;
use super::doubt::Doubt;

/// Ours, for one upstream and one source address.
pub(in super::super) type ClientCookie = [u8; CLIENT];

/// Octets of a client cookie.
const CLIENT: usize = 8;
/// Octets of a server cookie. RFC 7873 §4.2.
const SERVER: std::ops::RangeInclusive<usize> = 8..=32;
/// Code and length of the option, and both cookies.
const OPTION_MAX: usize = 4 + CLIENT + 32;
/// A client cookie is used for so long. RFC 7873 §7.1: a day is recommended.
pub(super) const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The cookies of one upstream.
#[derive(Debug, Default)]
pub(super) struct Cookies {
    own: Option<Own>,
    /// It has returned our cookie: answers without it are not its answers.
    are_spoken: bool,
    /// Raised by answers without a cookie.
    pub(super) doubt: Doubt,
}

#[derive(Debug)]
struct Own {
    client: ClientCookie,
    source: IpAddr,
    drawn: Instant,
    /// As it is sent, with the latest server cookie.
    option: [u8; OPTION_MAX],
    octets: usize,
}

/// What an answer says by its COOKIE option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word<'a> {
    Absent,
    /// Another client cookie, or a length that there is not.
    Wrong,
    Right {
        /// May be empty: some servers return options that they do not know.
        server: &'a [u8],
    },
}

/// Reads the COOKIE option of an answer to a question with the cookie `client`, if it had one.
pub(super) fn read(option: Option<&[u8]>, client: Option<ClientCookie>) -> Word<'_> {
    let (Some(option), Some(client)) = (option, client) else {
        return Word::Absent;
    };
    match option.split_first_chunk() {
        Some((returned, server)) if *returned == client => {
            if server.is_empty() || SERVER.contains(&server.len()) {
                Word::Right { server }
            } else {
                Word::Wrong
            }
        }
        _ => Word::Wrong,
    }
}

impl Cookies {
    /// The client cookie for a source address: the present one, or a new one when it is worn or was
    /// made for another address. A new one says nothing of the one before. RFC 7873 §5.1, §7.1.
    pub(super) fn client(
        &mut self,
        source: IpAddr,
        now: Instant,
        draw: impl FnOnce() -> ClientCookie,
    ) -> ClientCookie {
        let is_good = |own: &&Own| own.source == source && now < own.drawn + LIFETIME;
        if let Some(own) = self.own.as_ref().filter(is_good) {
            return own.client;
        }
        let client = draw();
        let mut own = Own {
            client,
            source,
            drawn: now,
            option: [0; OPTION_MAX],
            octets: 0,
        };
        own.write(&[]);
        self.own = Some(own);
        client
    }

    /// The client cookie that was given out last.
    pub(super) fn latest(&self) -> Option<ClientCookie> {
        self.own.as_ref().map(|own| own.client)
    }

    /// The whole option, with that client cookie.
    pub(super) fn option(&self) -> &[u8] {
        let own = self.own.as_ref();
        own.and_then(|own| own.option.get(..own.octets))
            .unwrap_or_default()
    }

    /// An answer has returned the cookie `client`, and this server cookie.
    pub(super) fn learn(&mut self, client: Option<ClientCookie>, server: &[u8]) {
        self.are_spoken = true;
        let own = self.own.as_mut();
        if let Some(own) = own.filter(|own| Some(own.client) == client && !server.is_empty()) {
            own.write(server);
        }
    }

    /// Whether an answer has to have a cookie.
    pub(super) fn are_due(&self, now: Instant) -> bool {
        self.are_spoken && !self.doubt.is_off(now)
    }

    /// An answer over TCP has none: if one over UDP had none either, the upstream has changed.
    pub(super) fn forget_if_doubted(&mut self, now: Instant) {
        if self.doubt.is_raised(now) {
            self.are_spoken = false;
        }
    }
}

impl Own {
    fn write(&mut self, server: &[u8]) {
        let length = u8::try_from(CLIENT + server.len()).unwrap_or_default();
        let [high, low] = option::COOKIE.to_be_bytes();
        let head: [&[u8]; 3] = [&[high, low, 0, length], &self.client, server];
        let mut octets = 0;
        for part in head {
            if let Some(room) = self.option.get_mut(octets..octets + part.len()) {
                room.copy_from_slice(part);
                octets += part.len();
            }
        }
        self.octets = octets;
    }
}
