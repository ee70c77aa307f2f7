//! How attractive a route is made: `[service.backup]`, and `preferred` and `backup` of a neighbour.
//!
//! Source: RFC 1997 (communities), RFC 8092 §5 (large communities in decimal).

use crate::bgp::{self, GRACEFUL_SHUTDOWN, Marks, PREPEND_MAX};
use crate::config::check::{Checker, elements};
use crate::config::key_path::KeyPath;
use crate::config::raw::{self, List, Word};

/// In one list. Those of a service and of a neighbour, and the one of a node that leaves, are
/// together fewer than [`crate::bgp::COMMUNITIES_MAX`].
const COMMUNITIES_MAX: usize = 100;
/// The same for [`crate::bgp::LARGE_COMMUNITIES_MAX`].
const LARGE_COMMUNITIES_MAX: usize = 32;
const _: () = assert!(
    2 * COMMUNITIES_MAX < bgp::COMMUNITIES_MAX
        && 2 * LARGE_COMMUNITIES_MAX <= bgp::LARGE_COMMUNITIES_MAX
);

/// Names that RFC 1997, RFC 3765 and RFC 8326 give.
const WELL_KNOWN: [(&str, u32); 4] = [
    ("graceful-shutdown", GRACEFUL_SHUTDOWN),
    ("no-export", 0xFFFF_FF01),
    ("no-advertise", 0xFFFF_FF02),
    ("no-peer", 0xFFFF_FF04),
];

impl Checker<'_> {
    /// What is written, and nothing else: no defaults.
    pub(in crate::config::check) fn marks(&mut self, raw: &raw::Marks, path: &KeyPath) -> Marks {
        let any = 0..=i64::from(u32::MAX);
        let med_path = path.key("med");
        let med = raw.med.as_ref().map(|med| match med {
            Word::Text(text) if text == "none" => None,
            Word::Number(number) => Some(self.number(&med_path, Some(*number), any.clone())),
            Word::Text(text) => {
                let text = format!("write a number or \"none\", not {text:?}");
                self.error(&med_path, &text);
                None
            }
        });
        let prepend = raw.prepend.map(|number| {
            self.number(
                &path.key("prepend"),
                Some(number),
                0..=i64::from(PREPEND_MAX),
            )
        });
        let local_pref = raw
            .local_pref
            .map(|number| self.number(&path.key("local_pref"), Some(number), any));
        Marks {
            prepend,
            med,
            local_pref,
            communities: match &raw.communities {
                None => Vec::new(),
                Some(list) => {
                    let path = path.key("communities");
                    self.communities(list, &path, COMMUNITIES_MAX, community)
                }
            },
            large_communities: self.communities(
                &raw.large_communities,
                &path.key("large_communities"),
                LARGE_COMMUNITIES_MAX,
                large_community,
            ),
        }
    }

    fn communities<T: Ord>(
        &mut self,
        list: &List<String>,
        path: &KeyPath,
        most: usize,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        if list.len() > most {
            self.error(path, &format!("list at most {most} communities"));
        }
        let mut communities = Vec::new();
        for (path, text) in elements(list, path) {
            match parse(text) {
                Ok(community) => communities.push(community),
                Err(text) => self.error(&path, &text),
            }
        }
        communities.sort_unstable();
        communities.dedup();
        communities
    }
}

fn community(text: &str) -> Result<u32, String> {
    let known = WELL_KNOWN.iter().find(|(name, _)| *name == text);
    if let Some((_, value)) = known {
        return Ok(*value);
    }
    match decimals::<u16>(text).as_deref() {
        Some(&[high, low]) => Ok(u32::from(high) << 16 | u32::from(low)),
        _ if large_community(text).is_ok() => Err(format!("put {text:?} into large_communities")),
        _ => {
            let names = WELL_KNOWN.map(|(name, _)| name).join(", ");
            Err(format!("write \"65000:1\" or one of {names}, not {text:?}"))
        }
    }
}

fn large_community(text: &str) -> Result<[u32; 3], String> {
    decimals(text)
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| {
            format!("write three numbers up to 4294967295, such as \"65053:1:2\", not {text:?}")
        })
}

/// Numbers with colons between them; a sign is none.
fn decimals<T: std::str::FromStr>(text: &str) -> Option<Vec<T>> {
    let number = |text: &str| {
        let digits = text.bytes().all(|octet| octet.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    text.split(':').map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1997, RFC 8092 §5: up to the last number of each size, and no further.
    #[test]
    fn communities_are_two_small_numbers_and_large_ones_three_big_ones() {
        assert_eq!(community("0:0"), Ok(0));
        assert_eq!(community("65535:65535"), Ok(u32::MAX));
        assert_eq!(community("graceful-shutdown"), Ok(0xFFFF_0000));
        let largest = "4294967295:4294967295:4294967295";
        assert_eq!(large_community(largest), Ok([u32::MAX; 3]));
        assert_eq!(large_community("65053:1:2"), Ok([65053, 1, 2]));
        for text in [
            "",
            "1",
            "1:",
            ":1",
            "65536:1",
            "1:65536",
            "+1:1",
            "1:1:",
            "no-export ",
        ] {
            assert!(community(text).is_err(), "{text:?}");
        }
        for text in ["1:2", "1:2:3:4", "1:2:4294967296", "1:-2:3", "1: 2:3", "::"] {
            assert!(large_community(text).is_err(), "{text:?}");
        }
        assert!(
            community("1:2:3")
                .unwrap_err()
                .contains("large_communities")
        );
    }
}
