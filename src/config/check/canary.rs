//! `[health.canary]`: names that should always resolve.

use std::time::Duration;

use crate::config::key_path::KeyPath;
use crate::config::raw::{self, List};
use crate::dns::canary::{CANARIES_MAX, Canary, CanarySettings};
use crate::dns::record_text::{name_from_text, type_from_text};
use crate::dns::{ForwardZone, ZoneAction};

use super::{Checker, elements};

const TYPE_A: u16 = 1;

impl Checker<'_> {
    pub(super) fn canaries(
        &mut self,
        raw: &raw::Canaries,
        zones: &[ForwardZone],
        path: &KeyPath,
    ) -> CanarySettings {
        let names = path.key("names");
        let canaries = self.canary_names(&raw.names, zones, &names);
        if raw.names.len() > CANARIES_MAX {
            let text = format!("list at most {CANARIES_MAX} names: each is asked for all the time");
            self.error(&names, &text);
        }
        let needed_path = path.key("needed");
        let needed = raw.needed.and_then(|needed| {
            let all = i64::try_from(raw.names.len()).unwrap_or(i64::MAX);
            if all == 0 && !self.has_failed(&names) {
                self.error(
                    &needed_path,
                    "there are no names; add some, or remove this key",
                );
                return None;
            }
            Some(self.number(&needed_path, Some(needed), 1..=all.max(1)))
        });
        CanarySettings {
            canaries,
            needed,
            interval: self.duration(
                &path.key("interval"),
                raw.interval.as_ref(),
                Duration::from_secs(1)..=Duration::from_secs(600),
            ),
        }
    }

    fn canary_names(
        &mut self,
        raw: &List<String>,
        zones: &[ForwardZone],
        path: &KeyPath,
    ) -> Vec<Canary> {
        let mut canaries: Vec<Canary> = Vec::new();
        for (path, text) in elements(raw, path) {
            match canary(text, zones) {
                Ok(canary) if canaries.contains(&canary) => {
                    self.error(&path, &format!("{text:?} is listed twice; remove one"));
                }
                Ok(canary) => canaries.push(canary),
                Err(problem) => self.error(&path, &problem),
            }
        }
        canaries
    }
}

/// A name, and a type behind it unless it is A.
fn canary(text: &str, zones: &[ForwardZone]) -> Result<Canary, String> {
    let mut words = text.split_whitespace();
    let (name, rtype, more) = (words.next(), words.next(), words.next());
    let Some(name) = name.filter(|_| more.is_none()) else {
        return Err("write a name, and a type behind it, such as \"example.com. AAAA\"".to_owned());
    };
    let below = name.strip_prefix("*.");
    if below.unwrap_or(name).contains('*') {
        return Err("write a * as the first label alone, and a name behind it".to_owned());
    }
    let wire = match below {
        Some("") => Ok(vec![0]),
        Some(below) => name_from_text(below),
        None => name_from_text(name),
    };
    let canary = Canary {
        name: wire.map_err(|error| format!("write a domain name: {error}"))?,
        is_fresh: below.is_some(),
        rtype: match rtype {
            None => TYPE_A,
            Some(text) => type_from_text(text)
                .ok_or_else(|| format!("write a type such as A, AAAA or MX, not {text:?}"))?,
        },
    };
    if !canary.fits() {
        return Err(
            "write a shorter name: a label of 16 letters takes the place of the *".to_owned(),
        );
    }
    match closest(&canary.name, zones) {
        Some(zone) if zone.action != ZoneAction::Forward => Err(format!(
            "nobody is asked for names in zone {}; write a name of another zone",
            zone.zone_text
        )),
        Some(_) | None => Ok(canary),
    }
}

/// The zone that a wire name belongs to.
fn closest<'z>(name: &[u8], zones: &'z [ForwardZone]) -> Option<&'z ForwardZone> {
    let mut rest = name;
    loop {
        if let Some(zone) = zones.iter().find(|zone| zone.zone == rest) {
            return Some(zone);
        }
        let length = usize::from(*rest.first().filter(|length| **length > 0)?);
        rest = rest.get(1 + length..)?;
    }
}
