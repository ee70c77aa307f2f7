//! Walks names and records of a message in wire form: bounded, without copying, on any bytes.
//!
//! Source: RFC 1035 §3.1 (labels), §3.2.1 (records), §4.1.4 (compression), §3.3 (RDATA with names),
//! RFC 3597 §4 (which types may have compressed names; all others are opaque).
//! A pointer has to point before the part of the name that holds it, so that every name ends, and a
//! name has at most as many pointers as it can have labels, so that it ends soon.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use super::key::NAME_MAX;

mod name;

pub(super) use name::{Name, label_count, last_labels};

/// A name of 255 octets has at most 127 labels, and a useful pointer leads to one.
const POINTERS_MAX: usize = 127;
/// Offsets of 14 bits, and a name behind the last of them.
const REACH: usize = (1 << 14) + 256;
/// Octets of a record between its class and its RDATA.
const TTL_AND_LENGTH: usize = 6;
/// Octets of a message header. RFC 1035 §4.1.1.
pub(super) const HEADER: usize = 12;

/// Codes of EDNS options that this crate reads or writes. RFC 6891 §6.1.2.
pub(super) mod option {
    /// Which server this is. RFC 5001 §2.3.
    pub(in crate::dns) const NSID: u16 = 3;
    /// Cookies. RFC 7873 §4.
    pub(in crate::dns) const COOKIE: u16 = 10;
    /// How long a TCP connection may idle. RFC 7828 §3.1.
    pub(in crate::dns) const KEEPALIVE: u16 = 11;
    /// Extended DNS Error. RFC 8914 §2.
    pub(in crate::dns) const EDE: u16 = 15;
}

/// Types that this crate looks at.
pub(super) mod rtype {
    /// Address.
    pub(in crate::dns) const A: u16 = 1;
    /// Name server.
    pub(in crate::dns) const NS: u16 = 2;
    /// Canonical name.
    pub(in crate::dns) const CNAME: u16 = 5;
    /// Start of authority.
    pub(in crate::dns) const SOA: u16 = 6;
    /// Host information; stands for others where ANY is asked for. RFC 8482 §4.2.
    pub(in crate::dns) const HINFO: u16 = 13;
    /// Text.
    pub(in crate::dns) const TXT: u16 = 16;
    /// SIG(0) uses this one. RFC 2931.
    pub(in crate::dns) const SIG: u16 = 24;
    /// Key of old DNSSEC. RFC 2535.
    pub(in crate::dns) const KEY: u16 = 25;
    /// Address. RFC 3596.
    pub(in crate::dns) const AAAA: u16 = 28;
    /// Denial of old DNSSEC. RFC 2535.
    pub(in crate::dns) const NXT: u16 = 30;
    /// Alias for all names below. RFC 6672.
    pub(in crate::dns) const DNAME: u16 = 39;
    /// Signature. RFC 4034.
    pub(in crate::dns) const RRSIG: u16 = 46;
    /// Denial. RFC 4034.
    pub(in crate::dns) const NSEC: u16 = 47;
    /// Denial by hashes. RFC 5155.
    pub(in crate::dns) const NSEC3: u16 = 50;
    /// Service binding. RFC 9460.
    pub(in crate::dns) const SVCB: u16 = 64;
    /// Service binding of the web. RFC 9460.
    pub(in crate::dns) const HTTPS: u16 = 65;
    /// EDNS. RFC 6891.
    pub(in crate::dns) const OPT: u16 = 41;
    /// Key exchange. RFC 2930.
    pub(in crate::dns) const TKEY: u16 = 249;
    /// Transaction signature. RFC 8945.
    pub(in crate::dns) const TSIG: u16 = 250;
    /// Incremental zone transfer. RFC 1995.
    pub(in crate::dns) const IXFR: u16 = 251;
    /// Zone transfer. RFC 5936.
    pub(in crate::dns) const AXFR: u16 = 252;
    /// Mailbox-related records. RFC 1035 §3.2.3.
    pub(in crate::dns) const MAILB: u16 = 253;
    /// Mail agents. RFC 1035 §3.2.3.
    pub(in crate::dns) const MAILA: u16 = 254;
    /// Any type. RFC 8482.
    pub(in crate::dns) const ANY: u16 = 255;
}

/// Classes that this crate looks at.
pub(super) mod class {
    /// Internet.
    pub(in crate::dns) const IN: u16 = 1;
    /// Chaos: questions about the server itself.
    pub(in crate::dns) const CH: u16 = 3;
}

/// The bytes cannot be read as what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message")]
pub(super) struct Malformed;

/// A place in a message; every read moves it on or fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at `at`, which may lie behind the end.
    pub(super) fn new(message: &'a [u8], at: usize) -> Self {
        Self { message, at }
    }

    /// Octets from the start of the message.
    pub(super) fn position(self) -> usize {
        self.at
    }

    /// The next `count` octets.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(count).ok_or(Malformed)?;
        let taken = self.message.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    /// The next octet.
    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.take(1)?.first().copied().ok_or(Malformed)
    }

    /// The next two octets as a number.
    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        let bytes = self.take(2)?.try_into().map_err(|_| Malformed)?;
        Ok(u16::from_be_bytes(bytes))
    }

    /// The next four octets as a number.
    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        let bytes = self.take(4)?.try_into().map_err(|_| Malformed)?;
        Ok(u32::from_be_bytes(bytes))
    }

    /// An uncompressed name, its root label included: what a question has.
    pub(super) fn plain_name(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.at;
        loop {
            match self.u8()? {
                0 => break,
                length @ 1..=63 => self.take(usize::from(length))?,
                _ => return Err(Malformed),
            };
        }
        let name = self.message.get(start..self.at).ok_or(Malformed)?;
        if name.len() > NAME_MAX {
            return Err(Malformed);
        }
        Ok(name)
    }

    /// Steps over a name that may be compressed, after checking all of it.
    pub(super) fn name(&mut self) -> Result<(), Malformed> {
        self.name_beside(&())
    }

    /// The same; a pointer must not lead through what will change.
    fn name_beside(&mut self, changing: &impl Changing) -> Result<(), Malformed> {
        let mut walker = *self;
        let mut segment = self.at;
        let mut length = 1;
        let mut pointers = 0;
        let mut after = None;
        loop {
            let label_at = walker.at;
            let octet = walker.u8()?;
            if pointers > 0 && changing.has(label_at) {
                return Err(Malformed);
            }
            match octet {
                0 => break,
                label @ 1..=63 => {
                    walker.take(usize::from(label))?;
                    if pointers > 0 && (label_at..walker.at).any(|at| changing.has(at)) {
                        return Err(Malformed);
                    }
                    length += usize::from(label) + 1;
                    if length > NAME_MAX {
                        return Err(Malformed);
                    }
                }
                high @ 0xC0.. => {
                    if pointers > 0 && changing.has(walker.at) {
                        return Err(Malformed);
                    }
                    let target = usize::from(u16::from_be_bytes([high & 0x3F, walker.u8()?]));
                    pointers += 1;
                    if target < HEADER || target >= segment || pointers > POINTERS_MAX {
                        return Err(Malformed);
                    }
                    after.get_or_insert(walker.at);
                    walker.at = target;
                    segment = target;
                }
                _ => return Err(Malformed),
            }
        }
        self.at = after.unwrap_or(walker.at);
        Ok(())
    }

    /// A record, with the names in its RDATA checked where RFC 3597 §4 has them decompressed.
    pub(super) fn record(&mut self) -> Result<Record<'a>, Malformed> {
        self.record_beside(&mut ())
    }

    /// The same for a message whose TTLs will change: each is noted, and no name may need one.
    pub(super) fn record_beside(
        &mut self,
        changing: &mut impl Changing,
    ) -> Result<Record<'a>, Malformed> {
        let mut names = *self;
        let record = self.checked_record()?;
        names.name_beside(changing)?;
        names.at = record.rdata_at;
        changing.note(record.rdata_at.saturating_sub(TTL_AND_LENGTH));
        if !names.rdata_is_sound(record.rtype, record.rdata.len(), changing)? {
            return Err(Malformed);
        }
        Ok(record)
    }

    /// A record that [`Cursor::record`] has accepted before: no name is followed.
    pub(super) fn checked_record(&mut self) -> Result<Record<'a>, Malformed> {
        let owner_at = self.at;
        loop {
            match self.u8()? {
                0 => break,
                label @ 1..=63 => self.take(usize::from(label))?,
                0xC0.. => {
                    self.take(1)?;
                    break;
                }
                _ => return Err(Malformed),
            };
        }
        let owner_octets = self.at - owner_at;
        let rtype = self.u16()?;
        let class = self.u16()?;
        let ttl_s = self.u32()?;
        let length = usize::from(self.u16()?);
        let rdata_at = self.at;
        let rdata = self.take(length)?;
        Ok(Record {
            owner_at,
            owner_octets,
            rtype,
            class,
            ttl_s,
            rdata_at,
            rdata,
        })
    }

    /// Whether the `length` octets from here have the form that `rtype` asks for.
    fn rdata_is_sound(
        &mut self,
        rtype: u16,
        length: usize,
        changing: &impl Changing,
    ) -> Result<bool, Malformed> {
        let Some(form) = Form::of(rtype) else {
            return Ok(match rtype {
                rtype::A => length == 4,
                rtype::AAAA => length == 16,
                _ => true,
            });
        };
        let start = self.at;
        form.step_to_names(self)?;
        for _ in 0..form.names {
            self.name_beside(changing)?;
        }
        let used = self.at - start;
        Ok(form
            .after
            .map_or(used <= length, |after| used + after == length))
    }
}

/// Which octets of a message are TTLs: they are changed where they stand, and a name that leads through
/// them would become another one.
pub(super) trait Changing {
    /// A TTL begins here.
    fn note(&mut self, at: usize);
    /// Whether this octet belongs to one.
    fn has(&self, at: usize) -> bool;
}

/// Nothing changes.
impl Changing for () {
    fn note(&mut self, _at: usize) {}

    fn has(&self, _at: usize) -> bool {
        false
    }
}

/// The TTLs of one message, as far as a pointer and one label reach.
pub(super) struct Ttls([u64; REACH / 64]);

impl Ttls {
    /// Of a message whose records begin at `records_at`. What leads through type and class before
    /// that goes on in the records, where something else may stand when some of them are dropped.
    pub(super) fn new(records_at: usize) -> Self {
        let mut ttls = Self([0; REACH / 64]);
        ttls.note(records_at.saturating_sub(4));
        ttls
    }
}

impl Changing for Ttls {
    fn note(&mut self, at: usize) {
        for octet in at..at + 4 {
            if let Some(word) = self.0.get_mut(octet / 64) {
                *word |= 1 << (octet % 64);
            }
        }
    }

    fn has(&self, at: usize) -> bool {
        self.0
            .get(at / 64)
            .is_some_and(|word| word >> (at % 64) & 1 != 0)
    }
}

/// How RDATA is made that has names which may be compressed. RFC 3597 §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Octets at the start.
    fixed: usize,
    /// Character strings behind them.
    strings: usize,
    /// Names behind these.
    pub(super) names: usize,
    /// Octets behind the names; `None`: any number.
    after: Option<usize>,
}

impl Form {
    /// `None`: the RDATA of this type is opaque.
    pub(super) fn of(rtype: u16) -> Option<Self> {
        let (fixed, names, after) = match rtype {
            // NS MD MF CNAME MB MG MR PTR DNAME
            rtype::NS | 3 | 4 | rtype::CNAME | 7 | 8 | 9 | 12 | rtype::DNAME => (0, 1, Some(0)),
            rtype::SOA => (0, 2, Some(20)),
            // MINFO RP
            14 | 17 => (0, 2, Some(0)),
            // MX AFSDB RT KX
            15 | 18 | 21 | 36 => (2, 1, Some(0)),
            rtype::SIG => (18, 1, None),
            // PX
            26 => (2, 2, Some(0)),
            rtype::NXT => (0, 1, None),
            // SRV
            33 => (6, 1, Some(0)),
            // NAPTR
            35 => (4, 1, Some(0)),
            _ => return None,
        };
        Some(Self {
            fixed,
            strings: if rtype == 35 { 3 } else { 0 },
            names,
            after,
        })
    }

    /// Moves `cursor` from the start of the RDATA to its first name.
    pub(super) fn step_to_names(self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        cursor.take(self.fixed)?;
        for _ in 0..self.strings {
            let length = cursor.u8()?;
            cursor.take(usize::from(length))?;
        }
        Ok(())
    }
}

/// A record of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    /// Where the owner name begins.
    pub(super) owner_at: usize,
    /// Octets of the owner name as it stands; 1 means the root.
    pub(super) owner_octets: usize,
    /// Type code.
    pub(super) rtype: u16,
    /// Class code; the UDP size of an OPT.
    pub(super) class: u16,
    /// Seconds; flags of an OPT.
    pub(super) ttl_s: u32,
    /// Where the RDATA begins.
    pub(super) rdata_at: usize,
    /// As it stands.
    pub(super) rdata: &'a [u8],
}

impl Record<'_> {
    /// Where the record ends.
    pub(super) fn end(&self) -> usize {
        self.rdata_at + self.rdata.len()
    }

    /// The type that a signature covers; 0 for what is none. RFC 4034 §3.1.1.
    pub(super) fn covered(&self) -> u16 {
        match (self.rtype, self.rdata.first_chunk()) {
            (rtype::SIG | rtype::RRSIG, Some(covered)) => u16::from_be_bytes(*covered),
            _ => 0,
        }
    }
}

/// One EDNS option after another. RFC 6891 §6.1.2.
pub(super) fn options(rdata: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), Malformed>> {
    let mut cursor = Cursor::new(rdata, 0);
    std::iter::from_fn(move || {
        if cursor.at >= rdata.len() {
            return None;
        }
        let option = (|| {
            let code = cursor.u16()?;
            let length = usize::from(cursor.u16()?);
            Ok((code, cursor.take(length)?))
        })();
        if option.is_err() {
            cursor.at = rdata.len();
        }
        Some(option)
    })
}

#[cfg(test)]
mod tests;
