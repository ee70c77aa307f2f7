//! Whose question it is, as far as fairness and limits are concerned.
//!
//! Source: RFC 4291 §2.5.5.2 (IPv4-mapped addresses count as IPv4), RFC 6177 §2 (a site has a /48 to
//! a /56).

use std::net::IpAddr;

/// How many leading bits of an address stand for one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixLengths {
    /// 1 to 32. Default 24.
    pub v4: u8,
    /// 1 to 64. Default 56.
    pub v6: u8,
}

impl Default for PrefixLengths {
    fn default() -> Self {
        Self { v4: 24, v6: 56 }
    }
}

/// All clients that share an address prefix: one of them must not take what is there for the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(u64);

impl Prefix {
    /// The prefix that `client` belongs to.
    ///
    /// A prefix of the one family may equal one of the other: both then share a limit.
    #[must_use]
    pub fn of(client: IpAddr, lengths: PrefixLengths) -> Self {
        match client.to_canonical() {
            IpAddr::V4(address) => {
                let behind = 32 - u32::from(lengths.v4.clamp(1, 32));
                Self(1 << 32 | u64::from(address.to_bits() >> behind << behind))
            }
            IpAddr::V6(address) => {
                let behind = 64 - u32::from(lengths.v6.clamp(1, 64));
                let [first, second, third, fourth, ..] = address.segments();
                let upper = [first, second, third, fourth]
                    .iter()
                    .fold(0, |upper, word| upper << 16 | u64::from(*word));
                Self(upper >> behind << behind)
            }
        }
    }

    /// The prefix as a witness: of IPv6 addresses no more than the first 48 bits, for a site has so many
    /// prefixes that are longer, and could pass for many. Unique local ones (RFC 4193 §3.1) stay as they
    /// are: all that an organization has share 48 bits, and who may ask from there is known.
    #[must_use]
    pub fn as_witness(self) -> Self {
        // That of an IPv4 address, see above; as IPv6 it would be a reserved one. RFC 4291 §2.4.
        let is_v4 = self.0 >> 32 == 1;
        let is_unique_local = self.0 >> 57 == 0xFC >> 1;
        if is_v4 || is_unique_local {
            return self;
        }
        Self(self.0 >> 16 << 16)
    }

    /// For hashing; equal prefixes have equal bits.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }
}

/// On whose behalf upstreams are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    /// Who shares what is there.
    pub prefix: Prefix,
    /// Another node of the service asks as its last resort, and shares what is there for those.
    pub is_sibling: bool,
    /// The question bears the marker of siblings, as theirs all do: never passed on to a sibling in
    /// turn, wherever it comes from.
    pub is_marked: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(client: &str) -> Prefix {
        Prefix::of(client.parse().unwrap(), PrefixLengths::default())
    }

    #[test]
    fn clients_of_one_prefix_are_one_and_others_are_others() {
        assert_eq!(prefix("192.0.2.1"), prefix("192.0.2.255"));
        assert_ne!(prefix("192.0.2.1"), prefix("192.0.3.1"));
        assert_eq!(prefix("::ffff:192.0.2.1"), prefix("192.0.2.9"));
        assert_eq!(prefix("2001:db8:0:1::1"), prefix("2001:db8:0:ff::1"));
        assert_ne!(prefix("2001:db8:0:1::1"), prefix("2001:db8:0:100::1"));
    }

    /// RFC 6177 §2, RFC 4193 §3.1.
    #[test]
    fn a_site_is_one_witness_however_many_prefixes_it_has() {
        let witness = |client: &str| prefix(client).as_witness();
        assert_eq!(witness("2001:db8:0:100::1"), witness("2001:db8:0:ff00::1"));
        assert_ne!(witness("2001:db8:0:100::1"), witness("2001:db8:1:100::1"));
        for plain in [
            "192.0.2.1",
            "255.255.255.255",
            "0.0.0.1",
            "fc00:0:0:100::1",
            "fdff::1",
        ] {
            assert_eq!(witness(plain), prefix(plain), "{plain}");
        }
        assert_ne!(witness("fe00:0:0:100::1"), prefix("fe00:0:0:100::1"));
        assert_ne!(witness("fbff:0:0:100::1"), prefix("fbff:0:0:100::1"));
    }

    #[test]
    fn lengths_at_their_limits_are_good_for_something() {
        for (v4, v6) in [(0, 0), (1, 1), (32, 64), (255, 255)] {
            let lengths = PrefixLengths { v4, v6 };
            let whole = Prefix::of("192.0.2.1".parse().unwrap(), lengths);
            assert_eq!(whole, Prefix::of("192.0.2.1".parse().unwrap(), lengths));
            let _ = Prefix::of("2001:db8::1".parse().unwrap(), lengths);
        }
    }
}
