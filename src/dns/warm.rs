//! The names that were hot before a restart: how they are kept in a file, and how they come back
//! into the cache before the node is announced.
//!
//! The file has one question on a line, as `www.example.com. 28` or `www.example.com. 1 do`: name, type
//! as a number (RFC 1035 §3.2.2), and the flags DO and CD (RFC 4035 §3.2) where they are set. It says
//! nothing about who has asked. Names with other characters than letters, digits, `-` and `_` are not
//! kept. Whatever else a file holds is skipped.
//!
//! Workers fetch the names in the way in which they renew popular answers: a few with each heartbeat,
//! while upstreams answer and there is plenty of room. Clients go first.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::key::Key;
use super::record_text::name_from_text;
use super::walk::{class, rtype};

/// What is read of a file at most, and written to it.
pub const FILE_OCTETS_MAX: usize = 1 << 20;
/// How many questions a worker begins with one heartbeat at most.
pub const BATCH: usize = 32;
/// Types that are no question for data, or would take too much: OPT to ANY, but for HTTPS and the like.
const META: std::ops::RangeInclusive<u16> = 128..=255;

/// Questions that wait to be asked, shared by all workers.
#[derive(Debug, Default)]
pub struct WarmQueue {
    waiting: Mutex<VecDeque<Key>>,
    left: AtomicU64,
    begun: AtomicU64,
    dropped: AtomicU64,
}

impl WarmQueue {
    /// Puts questions behind those that wait; to be called with a bounded number of them.
    pub fn fill(&self, keys: impl IntoIterator<Item = Key>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend(keys);
        self.note_left(&waiting);
    }

    /// Lets `begin` ask up to [`BATCH`] questions. Those for which there is no room (`Some(false)`) wait
    /// on; those that cannot be asked (`None`) are dropped. Waits for nobody: does nothing while
    /// another worker is at it.
    pub fn take(&self, mut begin: impl FnMut(&Key) -> Option<bool>) {
        if self.left() == 0 {
            return;
        }
        let Ok(mut waiting) = self.waiting.try_lock() else {
            return;
        };
        for _ in 0..BATCH.min(waiting.len()) {
            let Some(key) = waiting.pop_front() else {
                break;
            };
            match begin(&key) {
                Some(true) => {
                    self.begun.fetch_add(1, Ordering::Relaxed);
                }
                Some(false) => {
                    waiting.push_front(key);
                    break;
                }
                None => {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        self.note_left(&waiting);
    }

    /// Gives up what still waits.
    pub fn clear(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = u64::try_from(waiting.len()).unwrap_or(u64::MAX);
        self.dropped.fetch_add(dropped, Ordering::Relaxed);
        waiting.clear();
        self.note_left(&waiting);
    }

    /// How many wait.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    /// How many were asked.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// How many were not asked, for want of an upstream or of time.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn note_left(&self, waiting: &VecDeque<Key>) {
        let left = u64::try_from(waiting.len()).unwrap_or(u64::MAX);
        self.left.store(left, Ordering::Relaxed);
    }
}

/// The text of a file with these questions, as far as they can be written.
#[must_use]
pub fn to_text(keys: &[Key]) -> String {
    let mut text = String::new();
    for key in keys {
        let before = text.len();
        if write_line(&mut text, key).is_none() || text.len() > FILE_OCTETS_MAX {
            text.truncate(before);
        }
    }
    text
}

/// The questions of a file, `most` at most, and how many of its lines were none.
#[must_use]
pub fn from_text(text: &str, most: usize) -> (Vec<Key>, usize) {
    let (mut keys, mut skipped) = (Vec::new(), 0);
    for line in text.lines() {
        if keys.len() >= most {
            break;
        }
        match read_line(line) {
            Some(key) => keys.push(key),
            None => skipped += 1,
        }
    }
    (keys, skipped)
}

fn write_line(text: &mut String, key: &Key) -> Option<()> {
    if key.qclass() != class::IN || META.contains(&key.qtype()) {
        return None;
    }
    let mut rest = key.name();
    if rest == [0] {
        text.push('.');
    }
    while let Some((length, behind)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let (label, behind) = behind.split_at_checked(usize::from(*length))?;
        if !label.iter().all(|octet| is_plain(*octet)) {
            return None;
        }
        text.push_str(std::str::from_utf8(label).ok()?);
        text.push('.');
        rest = behind;
    }
    if rest != [0] {
        return None;
    }
    // Writing to a text cannot fail.
    write!(text, " {}", key.qtype()).ok()?;
    if key.dnssec_ok() {
        text.push_str(" do");
    }
    if key.checking_disabled() {
        text.push_str(" cd");
    }
    text.push('\n');
    Some(())
}

fn read_line(line: &str) -> Option<Key> {
    let mut words = line.split_ascii_whitespace();
    let (name, qtype) = (words.next()?, words.next()?);
    let is_plain = name.bytes().all(|octet| is_plain(octet) || octet == b'.');
    let qtype: u16 = qtype.parse().ok()?;
    if !is_plain || !name.ends_with('.') || META.contains(&qtype) || qtype == rtype::OPT {
        return None;
    }
    let (mut dnssec_ok, mut checking_disabled) = (false, false);
    for word in words {
        match word {
            "do" => dnssec_ok = true,
            "cd" => checking_disabled = true,
            _ => return None,
        }
    }
    let name = name_from_text(name).ok()?;
    Key::new(&name, qtype, class::IN, dnssec_ok, checking_disabled)
}

fn is_plain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(name: &[u8], qtype: u16) -> Key {
        Key::new(name, qtype, class::IN, false, false).unwrap()
    }

    #[test]
    fn questions_come_back_as_they_were() {
        let keys = [
            key(b"\x00", 2),
            key(b"\x03www\x07example\x00", 28),
            key(b"\x06_dmarc\x00", 16),
            Key::new(b"\x01a\x00", 1, class::IN, true, true).unwrap(),
        ];
        let text = to_text(&keys);
        assert_eq!(text, ". 2\nwww.example. 28\n_dmarc. 16\na. 1 do cd\n");
        assert_eq!(from_text(&text, 10), (keys.to_vec(), 0));
        assert_eq!(from_text(&text, 2).0.len(), 2);
    }

    #[test]
    fn odd_names_and_questions_for_no_data_are_left_out() {
        let odd = [
            key(b"\x03a.b\x00", 1),
            key(b"\x02\xff\x00\x00", 1),
            key(b"\x01a\x00", 255),
            key(b"\x01a\x00", 252),
            Key::new(b"\x01a\x00", 16, 3, false, false).unwrap(),
        ];
        assert_eq!(to_text(&odd), "");
    }

    #[test]
    fn lines_that_are_no_questions_are_skipped_and_counted() {
        let text = "a. 1\n\nb 1\nc. A\nd. 1 xx\n..\ne. 1 do\na..b. 1\nf. 255\n";
        let (keys, skipped) = from_text(text, 100);
        assert_eq!((keys.len(), skipped), (2, 7));
    }

    #[test]
    fn workers_take_a_batch_at_a_time_and_leave_what_has_no_room() {
        let queue = WarmQueue::default();
        queue.fill((0..100).map(|_| key(b"\x01a\x00", 1)));
        queue.take(|_| Some(true));
        assert_eq!((queue.begun(), queue.left()), (32, 68));
        let mut asked = 0;
        queue.take(|_| {
            asked += 1;
            Some(asked < 3)
        });
        assert_eq!((asked, queue.begun(), queue.left()), (3, 34, 66));
        queue.take(|_| None);
        assert_eq!((queue.dropped(), queue.left()), (32, 34));
        queue.clear();
        assert_eq!((queue.dropped(), queue.left()), (66, 0));
        queue.take(|_| panic!("nothing is left"));
    }

    proptest! {
        #[test]
        fn no_file_does_any_harm(text in "\\PC{0,400}", lines in proptest::collection::vec("[a-z0-9.\\\\ -]{0,300}", 0..20)) {
            let _ = from_text(&text, 1000);
            let (keys, _) = from_text(&lines.join("\n"), 1000);
            let (again, skipped) = from_text(&to_text(&keys), 1000);
            prop_assert_eq!((again, skipped), (keys, 0));
        }

        #[test]
        fn no_name_does_any_harm(name in proptest::collection::vec(any::<u8>(), 1..255), qtype: u16) {
            if let Some(key) = Key::new(&name, qtype, 1, false, true) {
                let (keys, skipped) = from_text(&to_text(&[key]), 1);
                prop_assert_eq!(skipped, 0);
                prop_assert!(keys.is_empty() || keys == [key]);
            }
        }
    }
}
