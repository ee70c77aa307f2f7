//! Which domain a question is about, as far as the health of upstreams is concerned.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// One key for all workers: a domain has to be the same one for each of them.
static HASHING: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A keyed hash of the last two labels of a wire name in lower case, or of what there is of them.
pub(in super::super) fn hash(name: &[u8]) -> u64 {
    HASHING.hash_one(domain(name))
}

fn domain(name: &[u8]) -> &[u8] {
    // The starts of the last label seen, and of the one before it.
    let (mut before, mut last, mut rest) = (name, name, name);
    while let Some((&length, behind)) = rest.split_first().filter(|(length, _)| **length > 0) {
        (before, last) = (last, rest);
        rest = behind.get(usize::from(length)..).unwrap_or_default();
    }
    if last.len() < before.len() {
        before
    } else {
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_the_same_last_two_labels_are_of_one_domain() {
        let names: [(&[u8], &[u8]); 6] = [
            (
                b"\x03www\x04corp\x07example\x00",
                b"\x04corp\x07example\x00",
            ),
            (
                b"\x01a\x01b\x04corp\x07example\x00",
                b"\x04corp\x07example\x00",
            ),
            (b"\x04corp\x07example\x00", b"\x04corp\x07example\x00"),
            (b"\x07example\x00", b"\x07example\x00"),
            (b"\x00", b"\x00"),
            (b"\x3fbroken", b"\x3fbroken"),
        ];
        for (name, expected) in names {
            assert_eq!(domain(name), expected);
        }
        assert_eq!(hash(names[0].0), hash(names[1].0));
        assert_ne!(hash(names[0].0), hash(names[3].0));
    }
}
