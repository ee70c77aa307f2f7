//! What may stand in `[[bgp.neighbor]]` and in `bgp.listen`, up to every limit.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::bgp::message::Families;
use crate::bgp::{Marks, NeighborSettings, Role, Ttl};

/// A neighbour at this address with these further keys, over the minimal example.
fn text(address: &str, keys: &str) -> String {
    format!("[[bgp.neighbor]]\naddress = \"{address}\"\nasn = \"external\"\n{keys}")
}

fn neighbor(keys: &str) -> NeighborSettings {
    let bgp = good(&[EXAMPLES[2], &text("10.0.0.1", keys)]).bgp.unwrap();
    bgp.neighbors[0].clone()
}

/// The one error that these keys make.
fn error(keys: &str) -> String {
    let errors = bad(&text("10.0.0.1", keys));
    assert_eq!(errors.len(), 1, "{keys}: {errors:?}");
    errors[0].clone()
}

fn address(text_of_it: &str) -> Option<NeighborAddress> {
    let config = read(&[EXAMPLES[2], &text(text_of_it, "")], &[]).ok()?;
    Some(config.bgp.unwrap().neighbors[0].address.clone())
}

#[test]
fn without_further_keys_a_neighbour_is_on_the_usual_terms() {
    let plain = NeighborSettings::new(
        NeighborAddress::Ip("10.0.0.1".parse().unwrap()),
        PeerAsn::External,
    );
    assert_eq!(neighbor(""), plain);
}

#[test]
fn every_key_of_a_neighbour_means_what_it_says() {
    let keys = r#"
        hold_time = "3s"
        delay_open = "240s"
        ttl_security = true
        role = "customer"
        families = ["ipv6"]
        preferred = { med = "none", communities = ["no-export", "65000:1", "65000:1"] }
        backup = { prepend = 0, med = 7, large_communities = ["65053:1:2"] }
    "#;
    let found = neighbor(keys);
    assert_eq!(found.hold_time, Some(Duration::from_secs(3)));
    assert_eq!(found.delay_open, Duration::from_secs(240));
    assert_eq!(found.security.ttl, Ttl::Security);
    assert_eq!(found.role, Some(Role::Customer));
    let families = Families {
        ipv4: false,
        ipv6: true,
    };
    assert_eq!(found.families, families);
    let preferred = Marks {
        med: Some(None),
        communities: vec![65000 << 16 | 1, 0xFFFF_FF01],
        ..Marks::default()
    };
    let backup = Marks {
        prepend: Some(0),
        med: Some(Some(7)),
        large_communities: vec![[65053, 1, 2]],
        ..Marks::default()
    };
    assert_eq!(
        (found.marks.preferred, found.marks.backup),
        (preferred, backup)
    );
    assert_eq!(neighbor("hold_time = \"0s\"").hold_time, None);
    assert_eq!(neighbor("multihop_ttl = 2").security.ttl, Ttl::Multihop(2));
}

/// RFC 4007 §11: a link-local address without its link is nobody.
#[test]
fn an_address_that_is_good_on_one_link_comes_with_its_interface() {
    let link_local = NeighborAddress::LinkLocal {
        address: "fe80::1".parse().unwrap(),
        interface: "eth1.7".to_owned(),
    };
    assert_eq!(address("fe80::1%eth1.7"), Some(link_local));
    let unnumbered = NeighborAddress::Interface("fifteen-octets0".to_owned());
    assert_eq!(address("interface:fifteen-octets0"), Some(unnumbered));
    for text in [
        "fe80::1",
        "fe80::1%",
        "fe80::1%2",
        "fe80::1%eth 1",
        "fe80::1%eth1:0",
        "fd00::1%eth1",
        "10.0.0.1%eth1",
        "interface:",
        "interface:7",
        "interface:..",
        "interface:a/b",
        "interface:sixteen-octets00",
        "interfaces:eth1",
        "::ffff:10.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "0.0.0.0",
        "10.0.0.1:179",
    ] {
        assert_eq!(address(text), None, "{text}");
    }
}

#[test]
fn values_of_a_neighbour_are_good_up_to_their_limits_and_no_further() {
    for (inside, outside) in [
        ("hold_time = \"3s\"", "hold_time = \"2s\""),
        ("delay_open = \"240s\"", "delay_open = \"240001ms\""),
        ("multihop_ttl = 2", "multihop_ttl = 1"),
        ("multihop_ttl = 255", "multihop_ttl = 256"),
        ("preferred.prepend = 16", "preferred.prepend = 17"),
        ("backup.med = 4294967295", "backup.med = 4294967296"),
        ("bfd.interval = \"10ms\"", "bfd.interval = \"9999us\""),
        ("bfd.interval = \"60s\"", "bfd.interval = \"60001ms\""),
        (
            "bfd.interval = \"10001us\"",
            "bfd.interval = \"10000001ns\"",
        ),
        ("bfd.multiplier = 1", "bfd.multiplier = 0"),
        ("bfd.multiplier = 255", "bfd.multiplier = 256"),
        ("families = [\"ipv4\"]", "families = []"),
        ("role = \"route-server-client\"", "role = \"router\""),
    ] {
        neighbor(inside);
        error(outside);
    }
    for number in [100, 101] {
        let list: Vec<String> = (0..number).map(|low| format!("\"1:{low}\"")).collect();
        let keys = format!("backup.communities = [{}]", list.join(", "));
        assert_eq!(is_good(&text("10.0.0.1", &keys)), number == 100);
        let large = format!(
            "backup.large_communities = [{}]",
            list[..number - 68].join(", ")
        );
        let large = large.replace("\"1:", "\"1:1:");
        assert_eq!(is_good(&text("10.0.0.1", &large)), number == 100);
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    for (keys, told) in [
        (
            "ttl_security = true\nmultihop_ttl = 2",
            "remove one of them",
        ),
        ("passive = true", "bgp.listen is empty"),
        ("tcp_ao = { send_id = 1 }", "use password_file"),
        ("bfd.key_id = 1", "without key_file"),
        ("bfd.meticulous = false", "without key_file"),
        ("source = \"10.0.0.1\"", "the neighbor itself"),
        ("source = \"fd00::1\"", "the same family"),
        ("bfd = true", "write a table"),
        ("password = \"secret\"", "did you mean \"password_file\""),
    ] {
        let error = error(keys);
        assert!(error.contains(told), "{error}");
    }
    let on_link = bad(&text(
        "interface:eth1",
        "multihop_ttl = 2\nsource = \"fd00::1\"",
    ));
    assert_eq!(on_link.len(), 2, "{on_link:?}");
    let internal = "[[bgp.neighbor]]\naddress = \"10.0.0.1\"\nasn = 65053\nrole = \"peer\"";
    assert!(bad(internal)[0].contains("RFC 9234"));
}

/// RFC 4271 §5.1.5: an external neighbour is not told LOCAL_PREF.
#[test]
fn a_local_pref_that_nobody_is_told_is_warned_about() {
    for (asn, expected) in [
        ("\"external\"", 1),
        ("65001", 1),
        ("65053", 0),
        ("\"internal\"", 0),
    ] {
        let text = format!(
            "[[bgp.neighbor]]\naddress = \"10.0.0.1\"\nasn = {asn}\npreferred.local_pref = 200"
        );
        let config = good(&[EXAMPLES[2], &text]);
        assert_eq!(config.warnings.len(), expected, "{asn}");
        let marks = &config.bgp.unwrap().neighbors[0].marks;
        assert_eq!(marks.preferred.local_pref, Some(200));
    }
}

#[test]
fn neighbours_connect_to_addresses_of_this_node_alone() {
    let listen = |list: &str| read(&[EXAMPLES[2], &format!("bgp.listen = {list}")], &[]);
    for list in [
        "[\"10.0.0.5\", \"[fd00::5]:1179\"]",
        "[\"0.0.0.0\", \"[::]:179\"]",
        "[\"0.0.0.0:1179\", \"10.0.0.5\"]",
        "[\"[fe80::1%2]:179\"]",
    ] {
        assert!(listen(list).is_ok(), "{list}");
    }
    for list in [
        "[\"10.53.53.53\"]",
        "[\"224.0.0.1\"]",
        "[\"255.255.255.255\"]",
        "[\"[::ffff:10.0.0.5]:179\"]",
        "[\"[fe80::1]:179\"]",
        "[\"0.0.0.0\", \"10.0.0.5\"]",
        "[\"10.0.0.5\", \"0.0.0.0:179\"]",
        "[\"10.0.0.5\", \"10.0.0.5:179\"]",
        "[\"10.0.0.5:0\"]",
    ] {
        assert_eq!(listen(list).unwrap_err().len(), 1, "{list}");
    }
}

#[test]
fn a_passive_neighbour_needs_an_address_of_its_family_to_connect_to() {
    let with = |listen: &str, address: &str| {
        let text = format!(
            "bgp.listen = [\"{listen}\"]\n{}",
            text(address, "passive = true")
        );
        is_good(&text)
    };
    assert!(with("10.0.0.5", "10.0.0.1") && with("fd00::5", "fd00::1"));
    assert!(with("::", "interface:eth1") && with("10.0.0.5", "default-gateway"));
    assert!(!with("10.0.0.5", "fd00::1") && !with("::", "10.0.0.1"));
    assert!(!with("10.0.0.5", "fe80::1%eth1"));
}

/// A neighbour with a secret of these octets in a file of this mode.
fn with_secret(key: &str, octets: &[u8], mode: u32) -> Result<Config, Vec<Diagnostic>> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bgp.key");
    fs::write(&file, octets).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    with_file(key, &file)
}

fn with_file(key: &str, file: &Path) -> Result<Config, Vec<Diagnostic>> {
    read(
        &[EXAMPLES[2], &text("10.0.0.1", &format!("{key} = {file:?}"))],
        &[],
    )
}

#[test]
fn a_password_is_the_one_line_of_its_file() {
    let octets = |octets: &[u8]| {
        let config = with_secret("password_file", octets, 0o640).ok()?;
        let security = config.bgp.unwrap().neighbors[0].security.clone();
        security.password.map(|password| password.octets().to_vec())
    };
    assert_eq!(octets(b" two words\r\n\n").unwrap(), b"two words");
    assert_eq!(octets("schlüssel".as_bytes()).unwrap().len(), 10);
    assert_eq!(octets(&[b'k'; 80]).unwrap().len(), 80);
    assert_eq!(octets(&[b'k'; 81]), None);
}

#[test]
fn a_password_that_cannot_be_used_is_refused_and_never_shown() {
    let told = |octets: &[u8], mode| {
        let errors = with_secret("password_file", octets, mode).unwrap_err();
        assert_eq!(errors.len(), 1);
        let error = errors[0].to_string();
        let place = "1.toml:4:17: error: bgp.neighbor.password_file: ";
        assert!(
            error.starts_with(place) && !error.contains("sesame"),
            "{error}"
        );
        error
    };
    assert!(told(b"sesame", 0o644).contains("chmod o="));
    assert!(told(b"sesame", 0o602).contains("chmod o="));
    assert!(told(b" \n", 0o600).contains("is empty"));
    assert!(told(b"sesame\nsesame", 0o600).contains("several lines"));
    assert!(told(b"sesame\0", 0o600).contains("is not text (octet 7)"));
    assert!(told(b"\xffsesame\0", 0o600).contains("is not text (octet 1)"));
    assert!(told(&b"sesame".repeat(14), 0o600).contains("80 octets"));
    assert!(told(&b"sesame".repeat(1000), 0o600).contains("4096 octets"));
    for (file, said) in [
        ("/nonexistent/bgp.key", "check path and permissions"),
        ("/tmp", "name a file"),
        ("bgp.key", "begins with /"),
    ] {
        let errors = with_file("password_file", Path::new(file)).unwrap_err();
        assert!(errors[0].text.contains(said), "{}", errors[0]);
    }
}

/// RFC 2385 §2, RFC 4007 §6: once such a configuration passed, and one of the two could never connect.
#[test]
fn two_passive_neighbours_with_one_link_local_address_have_one_password() {
    let directory = tempfile::tempdir().unwrap();
    let key = |octets: &str| {
        let file = directory.path().join(octets);
        fs::write(&file, octets).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        format!("password_file = {file:?}\n")
    };
    let two = |one: String, other: String| {
        let texts = [text("fe80::1%eth1", &one), text("fe80::1%eth2", &other)];
        let overlay = format!("bgp.listen = [\"::\"]\n{}\n{}", texts[0], texts[1]);
        match read(&[EXAMPLES[2], &overlay], &[]) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }
    };
    let passive = |key: String| key + "passive = true\n";
    let errors = two(passive(key("sesame")), passive(key("other")));
    assert_eq!(errors.len(), 1, "{errors:?}");
    let place = "1.toml:9:11: error: bgp.neighbor.address: ";
    assert!(errors[0].starts_with(place), "{errors:?}");
    assert!(errors[0].contains("fe80::1%eth1 and fe80::1%eth2"));
    // Nor may one have none, or one alone be dialled.
    assert_eq!(two(key("sesame"), passive(String::new())).len(), 1);
    assert_eq!(two(passive(key("sesame")), String::new()).len(), 1);
    assert!(two(passive(key("same")), passive(key("same"))).is_empty());
    assert!(two(key("sesame"), key("other")).is_empty());
}

/// RFC 5880 §4.4: 1 to 20 octets.
#[test]
fn bfd_is_signed_with_the_key_in_its_file() {
    let config = with_secret("bfd.key_file", &[b'k'; 20], 0o600).unwrap();
    let bfd = config.bgp.unwrap().neighbors[0].bfd.clone().unwrap();
    assert_eq!(
        (bfd.interval, bfd.multiplier),
        (Duration::from_millis(300), 3)
    );
    let signed = bfd.authentication.unwrap();
    assert_eq!((signed.key_id, signed.is_meticulous), (1, true));
    assert_eq!(signed.key.len(), 20);
    assert!(with_secret("bfd.key_file", &[b'k'; 21], 0o600).is_err());
    assert!(neighbor("bfd = {}").bfd.unwrap().authentication.is_none());
}

/// An operator finds every key in the commented example.
#[test]
fn the_commented_example_has_every_key() {
    let tables = [
        "",
        "node.",
        "service.",
        "service.backup.",
        "dns.",
        "dns.rate_limit.",
        "dns.special_names.",
        "dns.rebinding.",
        "dns.cache.",
        "dns.stale.",
        "forward.",
        "local.",
        "bgp.",
        "bgp.neighbor.",
        "bgp.neighbor.preferred.",
        "bgp.neighbor.backup.",
        "bgp.neighbor.bfd.",
        "health.",
        "admin.",
    ];
    for table in tables {
        let mut value = "{ zzzz = 1 }".to_owned();
        for key in table.split_terminator('.').rev() {
            value = match key {
                "service" | "forward" | "local" | "neighbor" => format!("{{ {key} = [{value}] }}"),
                key => format!("{{ {key} = {value} }}"),
            };
        }
        // Without the braces of the root.
        let errors = read(&[value[2..value.len() - 2].trim()], &[]).unwrap_err();
        let known = errors
            .iter()
            .find_map(|error| error.text.split_once("use one of "));
        let (_, known) = known.unwrap_or_else(|| panic!("{table}: {errors:?}"));
        for key in known.split(", ") {
            let is_shown = EXAMPLES[3].lines().any(|line| {
                let words = line.trim_start_matches(['#', ' ', '[']);
                words.starts_with(&format!("{key} "))
                    || line.contains(&format!("{key}]"))
                    || line.contains(&format!("{key} ="))
                    || line.contains(&format!("{key},"))
            });
            assert!(is_shown, "{table}{key}");
        }
    }
}
