//! Which domain a question is about, as far as the health of upstreams is concerned.
//!
//! A domain is what one party may break by itself, and what an upstream that works has many of: the
//! names with the same last two labels (`example.org.`), and in a zone whose apex has two labels or more
//! those with the same label below it (`10.in-addr.arpa.` has `1.10.in-addr.arpa.` and so on), for
//! otherwise all of the zone would be one domain, and *several domains* could never be found ill.

use super::super::walk::{label_count, last_labels};

/// The domain of a wire name in lower case, in the zone with this apex.
pub(in super::super) fn domain<'a>(apex: &[u8], name: &'a [u8]) -> &'a [u8] {
    last_labels(name, (label_count(apex) + 1).max(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &[u8] = b"\x00";
    const EXAMPLE: &[u8] = b"\x07example\x00";
    const CORP: &[u8] = b"\x04corp\x07example\x00";
    const A_CORP: &[u8] = b"\x01a\x04corp\x07example\x00";
    const TEN: &[u8] = b"\x0210\x07in-addr\x04arpa\x00";

    #[test]
    fn a_domain_has_two_labels_or_one_more_than_the_apex_of_its_zone() {
        for (apex, name, expected) in [
            (ROOT, A_CORP, CORP),
            (ROOT, b"\x01b\x01a\x04corp\x07example\x00", CORP),
            (ROOT, CORP, CORP),
            (ROOT, EXAMPLE, EXAMPLE),
            (ROOT, ROOT, ROOT),
            (ROOT, b"\x3fbroken", b"\x3fbroken"),
            (EXAMPLE, A_CORP, CORP),
            (EXAMPLE, EXAMPLE, EXAMPLE),
            (CORP, b"\x01b\x01a\x04corp\x07example\x00", A_CORP),
            (CORP, A_CORP, A_CORP),
            (CORP, CORP, CORP),
            (
                TEN,
                b"\x017\x016\x015\x0210\x07in-addr\x04arpa\x00",
                b"\x015\x0210\x07in-addr\x04arpa\x00",
            ),
        ] {
            assert_eq!(domain(apex, name), expected, "{apex:?} {name:?}");
        }
    }
}
