//! What the codes of capabilities are called, for people.
//!
//! Source: IANA "Capability Codes", made by RFC 5492 §6.

/// The name of a capability in lower case; `unknown` for a code that has none.
#[must_use]
pub const fn capability_name(code: u8) -> &'static str {
    match code {
        1 => "multiprotocol",
        2 => "route refresh",
        3 => "outbound route filtering",
        4 => "multiple routes",
        5 => "extended next hop",
        6 => "extended message",
        7 => "bgpsec",
        8 => "multiple labels",
        9 => "role",
        64 => "graceful restart",
        65 => "four-octet AS",
        67 => "dynamic capability",
        68 => "multisession",
        69 => "add-path",
        70 => "enhanced route refresh",
        71 => "long-lived graceful restart",
        72 => "routing policy distribution",
        73 => "host name",
        75 => "software version",
        76 => "paths limit",
        // Routers still offer it beside 2.
        128 => "route refresh (prestandard)",
        130 => "outbound route filtering (prestandard)",
        131 => "multisession (prestandard)",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9494 §5, RFC 4724 §3: an operator must be able to spot what keeps a dead node's route.
    #[test]
    fn the_capabilities_that_keep_dead_routes_alive_have_their_names() {
        assert_eq!(capability_name(64), "graceful restart");
        assert_eq!(capability_name(71), "long-lived graceful restart");
    }

    /// RFC 5492 §6: code 0 is reserved, 239 to 254 are for experiments.
    #[test]
    fn a_code_without_a_name_is_unknown() {
        for code in [0, 10, 63, 129, 132, 239, 255] {
            assert_eq!(capability_name(code), "unknown", "{code}");
        }
    }
}
