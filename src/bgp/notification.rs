//! NOTIFICATION: why a session ends.
//!
//! Source: RFC 4271 §4.5 and §6, RFC 4486 (Cease), RFC 6608 (machine errors), RFC 7313 §5 (refresh),
//! RFC 8538 §3 (hard reset), RFC 9003 (text), RFC 9234 §4.2 (roles), RFC 9384 (BFD), RFC 9687 (send
//! hold timer).
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::fmt;

use super::message::{self, Family, Kind};
use super::octets::Octets;

const HOLD_TIMER_EXPIRED: u8 = 4;
const FSM_ERROR: u8 = 5;
const CEASE: u8 = 6;
const MAXIMUM_PREFIXES: u8 = 1;
const ADMINISTRATIVE_SHUTDOWN: u8 = 2;
const ADMINISTRATIVE_RESET: u8 = 4;
const CONNECTION_REJECTED: u8 = 5;
const OTHER_CONFIGURATION_CHANGE: u8 = 6;
const CONNECTION_COLLISION: u8 = 7;
const HARD_RESET: u8 = 9;
const BFD_DOWN: u8 = 10;
/// The longest shutdown text in octets. RFC 9003 §2.
const TEXT_MAX: usize = 255;

/// A NOTIFICATION's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Error code.
    pub code: u8,
    /// Error subcode.
    pub subcode: u8,
    /// What depends on the two.
    pub data: Vec<u8>,
}

impl Notification {
    /// Any code, subcode and data.
    #[must_use]
    pub const fn new(code: u8, subcode: u8, data: Vec<u8>) -> Self {
        Self {
            code,
            subcode,
            data,
        }
    }

    /// Cease 6/2 with a text, cut to 255 octets at a character. RFC 9003 §2.
    #[must_use]
    pub fn administrative_shutdown(text: &str) -> Self {
        Self::new(CEASE, ADMINISTRATIVE_SHUTDOWN, with_length(text))
    }

    /// Cease 6/4 with a text. RFC 9003 §2.
    #[must_use]
    pub fn administrative_reset(text: &str) -> Self {
        Self::new(CEASE, ADMINISTRATIVE_RESET, with_length(text))
    }

    /// Cease 6/5: this connection is not wanted, now or at all. RFC 4486 §4.
    #[must_use]
    pub const fn connection_rejected() -> Self {
        Self::new(CEASE, CONNECTION_REJECTED, Vec::new())
    }

    /// Cease 6/6: what the session rests on has changed. RFC 4486 §4.
    #[must_use]
    pub const fn other_configuration_change() -> Self {
        Self::new(CEASE, OTHER_CONFIGURATION_CHANGE, Vec::new())
    }

    /// Cease 6/7. RFC 4486 §4.
    #[must_use]
    pub const fn collision() -> Self {
        Self::new(CEASE, CONNECTION_COLLISION, Vec::new())
    }

    /// Cease 6/10. RFC 9384 §3.
    #[must_use]
    pub const fn bfd_down() -> Self {
        Self::new(CEASE, BFD_DOWN, Vec::new())
    }

    /// 4/0. RFC 4271 §6.5.
    #[must_use]
    pub const fn hold_timer_expired() -> Self {
        Self::new(4, 0, Vec::new())
    }

    /// 8/0. RFC 9687 §3.2.
    #[must_use]
    pub const fn send_hold_timer_expired() -> Self {
        Self::new(8, 0, Vec::new())
    }

    /// 5 with the state's subcode; the data is the type of the message that was not expected.
    /// RFC 6608 §3.
    #[must_use]
    pub fn machine_error(subcode: u8, unexpected: Kind) -> Self {
        Self::new(5, subcode, vec![unexpected.to_wire()])
    }

    /// Reads a body; the two octets are guaranteed by the framing, else they count as 0.
    #[must_use]
    pub fn from_body(body: &[u8]) -> Self {
        let mut octets = Octets::new(body);
        let code = octets.u8().unwrap_or(0);
        let subcode = octets.u8().unwrap_or(0);
        Self::new(code, subcode, octets.rest().to_vec())
    }

    /// The whole message. Data that does not fit is left out: the code matters more.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = vec![self.code, self.subcode];
        body.extend_from_slice(&self.data);
        message::encode(Kind::Notification, &body)
            .or_else(|| message::encode(Kind::Notification, &[self.code, self.subcode]))
            .unwrap_or_default()
    }

    /// What a hard reset carries; `None` for anything else, and for a hard reset within one.
    /// RFC 8538 §3.1.
    #[must_use]
    pub fn carried(&self) -> Option<Self> {
        if (self.code, self.subcode) != (CEASE, HARD_RESET) || self.data.len() < 2 {
            return None;
        }
        let inner = Self::from_body(&self.data);
        ((inner.code, inner.subcode) != (CEASE, HARD_RESET)).then_some(inner)
    }

    /// Whether it is a Cease 6/2 or 6/4, or carries one: an operator's will.
    #[must_use]
    pub fn is_administrative(&self) -> bool {
        match self.carried() {
            Some(inner) => inner.is_administrative(),
            None => self.may_have_text(),
        }
    }

    const fn may_have_text(&self) -> bool {
        self.code == CEASE && matches!(self.subcode, ADMINISTRATIVE_SHUTDOWN | ADMINISTRATIVE_RESET)
    }

    /// The operator's text in a Cease 6/2 or 6/4, also in one that is carried, without what would
    /// steer a terminal or a log. RFC 9003 §2, §6.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        if let Some(inner) = self.carried() {
            return inner.text();
        }
        if !self.may_have_text() {
            return None;
        }
        let mut octets = Octets::new(&self.data);
        let length = octets.u8()?;
        let text = String::from_utf8_lossy(octets.take(usize::from(length))?);
        let clean: String = text
            .chars()
            .map(|c| if is_harmless(c) { c } else { ' ' })
            .collect();
        (!clean.is_empty()).then_some(clean)
    }

    /// The family and the most prefixes that the sender takes, if a Cease 6/1 says so. RFC 4486 §4.
    #[must_use]
    pub fn prefix_limit(&self) -> Option<(Family, u32)> {
        if (self.code, self.subcode) != (CEASE, MAXIMUM_PREFIXES) {
            return None;
        }
        let mut octets = Octets::new(&self.data);
        let family = Family::from_wire(octets.u16()?, octets.u8()?)?;
        Some((family, octets.u32()?))
    }

    /// Whether the sender says that it will not have this session as it is, so that coming back at
    /// once is useless.
    ///
    /// Not so after Cease 6/2, 6/4 and 6/10, which are about time and not about the session; nor
    /// after 6/7, which names the surplus one of two connections; nor after a hold timer that ran
    /// out (4) or a message at the wrong moment (5): both are the remains of a link or a process
    /// that was away, and the sooner its successor is up the better. A hard reset means what it
    /// carries.
    #[must_use]
    pub fn asks_for_back_off(&self) -> bool {
        if let Some(inner) = self.carried() {
            return inner.asks_for_back_off();
        }
        match self.code {
            HOLD_TIMER_EXPIRED | FSM_ERROR => false,
            CEASE => !matches!(
                self.subcode,
                ADMINISTRATIVE_SHUTDOWN | ADMINISTRATIVE_RESET | CONNECTION_COLLISION | BFD_DOWN
            ),
            _ => true,
        }
    }

    /// What the code and subcode mean, in lower case.
    #[must_use]
    pub const fn meaning(&self) -> &'static str {
        match (self.code, self.subcode) {
            (1, 1) => "header error: connection not synchronized",
            (1, 2) => "header error: bad message length",
            (1, 3) => "header error: bad message type",
            (1, _) => "header error",
            (2, 1) => "open refused: unsupported version",
            (2, 2) => "open refused: bad peer AS",
            (2, 3) => "open refused: bad BGP identifier",
            (2, 4) => "open refused: unsupported optional parameter",
            (2, 6) => "open refused: unacceptable hold time",
            (2, 7) => "open refused: unsupported capability",
            (2, 11) => "open refused: role mismatch",
            (2, _) => "open refused",
            (3, 1) => "update error: malformed attribute list",
            (3, 2) => "update error: unrecognized well-known attribute",
            (3, 3) => "update error: missing well-known attribute",
            (3, 4) => "update error: attribute flags error",
            (3, 5) => "update error: attribute length error",
            (3, 6) => "update error: invalid ORIGIN attribute",
            (3, 8) => "update error: invalid NEXT_HOP attribute",
            (3, 9) => "update error: optional attribute error",
            (3, 10) => "update error: invalid network field",
            (3, 11) => "update error: malformed AS_PATH",
            (3, _) => "update error",
            (4, _) => "hold timer expired",
            (5, 1) => "machine error: unexpected message in OpenSent",
            (5, 2) => "machine error: unexpected message in OpenConfirm",
            (5, 3) => "machine error: unexpected message in Established",
            (5, _) => "machine error",
            (6, 1) => "cease: maximum number of prefixes reached",
            (6, 2) => "cease: administrative shutdown",
            (6, 3) => "cease: peer de-configured",
            (6, 4) => "cease: administrative reset",
            (6, 5) => "cease: connection rejected",
            (6, 6) => "cease: other configuration change",
            (6, 7) => "cease: connection collision resolution",
            (6, 8) => "cease: out of resources",
            (6, 9) => "cease: hard reset",
            (6, 10) => "cease: BFD down",
            (6, _) => "cease",
            (7, 1) => "route refresh error: invalid message length",
            (7, _) => "route refresh error",
            (8, _) => "send hold timer expired",
            _ => "unknown error",
        }
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.code, self.subcode, self.meaning())?;
        if let Some(inner) = self.carried() {
            // A carried one carries nothing, so this goes no deeper.
            write!(f, ": {inner}")
        } else if let Some(text) = self.text() {
            write!(f, ": {text}")
        } else if let Some((family, limit)) = self.prefix_limit() {
            write!(f, ": {} at most {limit}", family.name())
        } else {
            Ok(())
        }
    }
}

/// Neither a control character nor one that turns the direction of text, ends a line or cannot be
/// seen.
fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{AD}'
                | '\u{61C}'
                | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{FEFF}'
                | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E007F}'
        )
}

fn with_length(text: &str) -> Vec<u8> {
    let mut end = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let cut = text.get(..end).unwrap_or_default();
    let mut data = vec![u8::try_from(end).unwrap_or(0)];
    data.extend_from_slice(cut.as_bytes());
    data
}

#[cfg(test)]
mod tests;
