//! The OPT record of a request.
//!
//! Source: RFC 6891 §6.1 (OPT), RFC 5001 §2.1 (NSID), RFC 7873 §5.2 (of several cookies the first
//! counts), RFC 7828 §3.1 (keepalive). Other options are ignored, flags besides DO too (RFC 6891
//! §6.1.2 and §6.1.4).
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use super::super::cookie::Cookie;
use super::super::sibling::MARKER;
use super::super::walk::{Malformed, Record, option, options, rtype};

/// What an OPT record said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edns {
    /// 0 is the only version there is; of others no option is read.
    pub version: u8,
    /// What the client can take by UDP, in octets, as sent.
    pub udp_size: u16,
    /// The DO bit.
    pub dnssec_ok: bool,
    /// Whether the client wants to know which server this is.
    pub nsid: bool,
    /// The first cookie.
    pub cookie: Option<Cookie>,
    /// Whether the client wants to know how long a connection may be silent.
    pub keepalive: Option<Keepalive>,
    /// The sender says that it is another node of the service.
    pub has_sibling_marker: bool,
}

/// The edns-tcp-keepalive option of a request. RFC 7828 §3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keepalive {
    /// Without a time, as a client has to send it.
    Asked,
    /// With a time, which only a server may tell.
    Malformed,
}

impl Edns {
    /// Walks the options once.
    pub(super) fn parse(record: &Record<'_>) -> Result<Self, Malformed> {
        let [_extended_rcode, version, flags, _] = record.ttl_s.to_be_bytes();
        let mut edns = Self {
            version,
            udp_size: record.class,
            dnssec_ok: flags & 0x80 != 0,
            ..Self::default()
        };
        // The options of a later version may have another form: BADVERS comes first. RFC 6891 §6.1.3.
        if version == 0 {
            for option in options(record.rdata) {
                let (code, value) = option?;
                edns.take(code, value);
            }
        }
        Ok(edns)
    }

    fn take(&mut self, code: u16, value: &[u8]) {
        match code {
            option::NSID => self.nsid = true,
            option::COOKIE if self.cookie.is_none() => self.cookie = Some(Cookie::read(value)),
            option::KEEPALIVE if value.is_empty() => {
                self.keepalive.get_or_insert(Keepalive::Asked);
            }
            option::KEEPALIVE => self.keepalive = Some(Keepalive::Malformed),
            MARKER => self.has_sibling_marker = true,
            _ => {}
        }
    }
}

/// The one OPT record among `records`, of which the first so many are no additional ones.
pub(super) fn find<'a>(
    records: impl Iterator<Item = Result<Record<'a>, Malformed>>,
    before_additionals: u32,
) -> Result<Option<Edns>, Malformed> {
    let mut found = None;
    for (index, record) in (0..).zip(records) {
        let record = record?;
        if record.rtype != rtype::OPT {
            continue;
        }
        // RFC 6891 §6.1.1 (one OPT, an additional record), §6.1.2 (its owner is the root).
        if found.is_some() || index < before_additionals || record.owner_octets != 1 {
            return Err(Malformed);
        }
        found = Some(Edns::parse(&record)?);
    }
    Ok(found)
}
