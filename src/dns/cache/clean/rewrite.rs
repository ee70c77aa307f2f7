//! The records that belong to a question, without the gaps that others leave.
//!
//! Source: RFC 1035 §4.1.4 (compression), RFC 3597 §4 (opaque RDATA is copied as it stands).
//! Every label is known by where it stood: a pointer to one that has been copied becomes a pointer to
//! the copy; one to a label that goes with its record becomes a copy of it. What was not compressed
//! stays so.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use super::super::super::key::Key;
use super::super::super::walk::{Cursor, Form, Malformed, Record};
use super::belonging::Belonging;
use super::chain::Chain;
use super::{Head, Unusable};

/// A pointer reaches as far as 14 bits do. RFC 1035 §4.1.4.
const POINTER_MAX: usize = 0x3FFF;

/// The records to stand in place of those of `message`, which has been checked.
///
/// # Errors
/// [`Unusable::Malformed`] when they would need more room than they had: names whose labels are no
/// labels of kept names can do that.
pub(super) fn without_gaps(
    key: &Key,
    message: &[u8],
    head: Head,
    chain: &Chain,
) -> Result<Vec<u8>, Unusable> {
    let mut belonging = Belonging::new(key, message, chain);
    let mut rewriting = Rewriting {
        message,
        records_at: head.records_at,
        copies: vec![0; message.len().min(POINTER_MAX + 1)],
        out: Vec::with_capacity(message.len()),
    };
    for (section, record) in head.records(message) {
        if belonging.includes(section, &record) {
            rewriting.record(&record)?;
        }
    }
    Ok(rewriting.out)
}

struct Rewriting<'a> {
    message: &'a [u8],
    records_at: usize,
    /// Where the copy of a label stands, by where the label stood; 0: there is none.
    copies: Vec<u16>,
    out: Vec<u8>,
}

impl Rewriting<'_> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), Malformed> {
        self.name(record.owner_at)?;
        // Type, class and TTL.
        let fixed = record.rdata_at - 10..record.rdata_at - 2;
        self.out
            .extend_from_slice(self.message.get(fixed).ok_or(Malformed)?);
        let length_at = self.out.len();
        self.out.extend_from_slice(&[0; 2]);

        let mut cursor = Cursor::new(self.message, record.rdata_at);
        if let Some(form) = Form::of(record.rtype) {
            form.step_to_names(&mut cursor)?;
            self.copy(record.rdata_at, cursor.position())?;
            for _ in 0..form.names {
                self.name(cursor.position())?;
                cursor.name()?;
            }
        }
        self.copy(cursor.position(), record.end())?;

        let octets = self.out.len() - length_at - 2;
        let octets = u16::try_from(octets).map_err(|_| Malformed)?;
        let length = self.out.get_mut(length_at..length_at + 2);
        length
            .ok_or(Malformed)?
            .copy_from_slice(&octets.to_be_bytes());
        if self.records_at + self.out.len() > self.message.len() {
            return Err(Malformed);
        }
        Ok(())
    }

    fn copy(&mut self, from: usize, to: usize) -> Result<(), Malformed> {
        let octets = self.message.get(from..to).ok_or(Malformed)?;
        self.out.extend_from_slice(octets);
        Ok(())
    }

    /// Copies the name at `at`.
    fn name(&mut self, mut at: usize) -> Result<(), Malformed> {
        loop {
            let copy = self.copies.get(at).copied().unwrap_or_default();
            if at < self.records_at {
                // The question stays where it is.
                return self.pointer(at);
            }
            if copy != 0 {
                return self.pointer(usize::from(copy));
            }
            let mut cursor = Cursor::new(self.message, at);
            match cursor.u8()? {
                0 => {
                    self.out.push(0);
                    return Ok(());
                }
                length @ 1..=63 => {
                    let end = at + 1 + usize::from(length);
                    let here = self.records_at + self.out.len();
                    if let Some(copy) = self.copies.get_mut(at).filter(|_| here <= POINTER_MAX) {
                        *copy = u16::try_from(here).map_err(|_| Malformed)?;
                    }
                    self.copy(at, end)?;
                    at = end;
                }
                high => at = usize::from(u16::from_be_bytes([high & 0x3F, cursor.u8()?])),
            }
        }
    }

    fn pointer(&mut self, to: usize) -> Result<(), Malformed> {
        let to = u16::try_from(to).map_err(|_| Malformed)?;
        self.out.extend_from_slice(&(0xC000 | to).to_be_bytes());
        Ok(())
    }
}
