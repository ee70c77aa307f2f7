//! `bfd` of a neighbour.
//!
//! Source: RFC 5880 §6.8.3 (intervals), §4.1 (Detect Mult), §6.7.4 (keyed SHA-1).

use std::time::Duration;

use crate::bfd::{Authentication, Settings};
use crate::config::check::{Checker, file};
use crate::config::key_path::KeyPath;
use crate::config::raw;

const INTERVAL: Duration = Duration::from_millis(300);
const INTERVAL_MIN: Duration = Duration::from_millis(10);
const INTERVAL_MAX: Duration = Duration::from_secs(60);
const MULTIPLIER: i64 = 3;
/// Octets. RFC 5880 §4.4.
const KEY_MAX: usize = 20;
const KEY_ID: i64 = 1;

impl Checker<'_> {
    pub(super) fn bfd(&mut self, raw: &raw::Bfd, path: &KeyPath) -> Settings {
        let interval = match &raw.interval {
            None => INTERVAL,
            written => self.duration(
                &path.key("interval"),
                written.as_ref(),
                INTERVAL_MIN..=INTERVAL_MAX,
            ),
        };
        // The wire has microseconds. RFC 5880 §4.1.
        if interval.subsec_nanos() % 1000 != 0 {
            self.error(&path.key("interval"), "write whole microseconds");
        }
        let multiplier = raw.multiplier.unwrap_or(MULTIPLIER);
        Settings {
            interval,
            multiplier: self.number(&path.key("multiplier"), Some(multiplier), 1..=255),
            authentication: self.bfd_authentication(raw, path),
        }
    }

    fn bfd_authentication(&mut self, raw: &raw::Bfd, path: &KeyPath) -> Option<Authentication> {
        let id_path = path.key("key_id");
        let key_id = self.number(&id_path, Some(raw.key_id.unwrap_or(KEY_ID)), 0..=255);
        let Some(file) = &raw.key_file else {
            let useless = [
                ("key_id", raw.key_id.is_some()),
                ("meticulous", raw.meticulous.is_some()),
            ];
            for (key, _) in useless.iter().filter(|(_, is_set)| *is_set) {
                let text = "nothing is signed without key_file; add that, or remove this";
                self.error(&path.key(key), text);
            }
            return None;
        };
        match file::secret_line(file, KEY_MAX, "who could then take sessions down") {
            Ok(key) => Some(Authentication {
                key_id,
                is_meticulous: raw.meticulous.unwrap_or(true),
                key: key.into(),
            }),
            Err(text) => {
                self.error(&path.key("key_file"), &text);
                None
            }
        }
    }
}
