//! Result codes of answers: RCODE and Extended DNS Errors.
//!
//! Source: RFC 1035 §4.1.1, RFC 6891 §6.1.3 (RCODE in twelve bits), RFC 7873 §8 (BADCOOKIE),
//! RFC 8914 §4 and RFC 9824 §9 (EDE).

/// A result code, with the upper bits that EDNS carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rcode(u16);

impl Rcode {
    /// No error.
    pub const NOERROR: Self = Self(0);
    /// The request could not be read.
    pub const FORMERR: Self = Self(1);
    /// No answer could be had.
    pub const SERVFAIL: Self = Self(2);
    /// The name does not exist.
    pub const NXDOMAIN: Self = Self(3);
    /// An operation that this server does not know.
    pub const NOTIMP: Self = Self(4);
    /// Refused by policy.
    pub const REFUSED: Self = Self(5);
    /// A DNAME makes the name too long. RFC 6672 §2.2.
    pub const YXDOMAIN: Self = Self(6);
    /// An EDNS version that this server does not know. RFC 6891 §6.1.3.
    pub const BADVERS: Self = Self(16);
    /// The server cookie is not one of ours. RFC 7873 §8.
    pub const BADCOOKIE: Self = Self(23);

    /// From the four bits of the header and the eight of an OPT record.
    #[must_use]
    pub fn from_parts(header: u8, extended: u8) -> Self {
        Self(u16::from(extended) << 4 | u16::from(header & 0x0F))
    }

    /// The four bits of the header.
    #[must_use]
    pub fn low(self) -> u8 {
        let [_, low] = self.0.to_be_bytes();
        low & 0x0F
    }

    /// The eight bits that go into the OPT record.
    #[must_use]
    pub fn high(self) -> u8 {
        let [_, high] = (self.0 >> 4).to_be_bytes();
        high
    }

    /// Whether it says no more than that this server will not do it.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::FORMERR | Self::NOTIMP | Self::REFUSED)
    }

    /// Whether the name's owner has spoken: such an answer is passed on, others count as failures.
    #[must_use]
    pub fn is_conclusive(self) -> bool {
        matches!(self, Self::NOERROR | Self::NXDOMAIN | Self::YXDOMAIN)
    }
}

/// The INFO-CODE of an Extended DNS Error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedError(pub u16);

impl ExtendedError {
    /// None of the others. RFC 8914 §4.1.
    pub const OTHER: Self = Self(0);
    /// The records have expired. RFC 8914 §4.4.
    pub const STALE_ANSWER: Self = Self(3);
    /// A failure of a moment ago is told again. RFC 8914 §4.14.
    pub const CACHED_ERROR: Self = Self(13);
    /// The operator of this server does not want the name resolved. RFC 8914 §4.16.
    pub const BLOCKED: Self = Self(15);
    /// Somebody else has ordered that. RFC 8914 §4.17.
    pub const CENSORED: Self = Self(16);
    /// The client has asked for that. RFC 8914 §4.18.
    pub const FILTERED: Self = Self(17);
    /// The client is not allowed to ask. RFC 8914 §4.19.
    pub const PROHIBITED: Self = Self(18);
    /// The NXDOMAIN has expired. RFC 8914 §4.20.
    pub const STALE_NXDOMAIN: Self = Self(19);
    /// No recursion was desired, and the answer is not at hand. RFC 8914 §4.21.
    pub const NOT_AUTHORITATIVE: Self = Self(20);
    /// This server does not do what was asked for. RFC 8914 §4.22.
    pub const NOT_SUPPORTED: Self = Self(21);
    /// No upstream answered. RFC 8914 §4.23.
    pub const NO_REACHABLE_AUTHORITY: Self = Self(22);
    /// Talking to the upstreams failed. RFC 8914 §4.24.
    pub const NETWORK_ERROR: Self = Self(23);
    /// What an authority has is not fit to be told. RFC 8914 §4.25.
    pub const INVALID_DATA: Self = Self(24);
    /// No record has the type that was asked for. RFC 9824 §9.
    pub const INVALID_QUERY_TYPE: Self = Self(30);

    /// Whether it says that a server lacks somebody to ask, or room: nothing about the name.
    #[must_use]
    pub fn is_for_want(self) -> bool {
        matches!(self, Self::NO_REACHABLE_AUTHORITY | Self::NETWORK_ERROR)
    }

    /// What another node of the service is told about one name that fails. It takes a word of want for
    /// this whole node's, and would ask it for no name at all.
    #[must_use]
    pub fn of_name_to_sibling(self) -> Self {
        if self.is_for_want() {
            Self::OTHER
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6891 §6.1.3: the OPT record has the upper eight of twelve bits.
    #[test]
    fn badvers_is_split_between_header_and_opt() {
        assert_eq!((Rcode::BADVERS.low(), Rcode::BADVERS.high()), (0, 1));
        assert_eq!(Rcode::from_parts(0, 1), Rcode::BADVERS);
        assert_eq!(Rcode::from_parts(0xF3, 0), Rcode::NXDOMAIN);
        assert_eq!(Rcode::from_parts(0x0F, 0xFF).high(), 0xFF);
    }
}
