//! What may stand in `[[service]]` about another program that answers, and in `[[service.check]]`.

use super::*;
use crate::health::check::{CheckKind, CheckSettings, Page};
use crate::health::{AnsweredBy, CheckFault};

/// A service with these further lines, over the minimal example.
fn text(keys: &str) -> String {
    format!("[[service]]\nname = \"guarded\"\naddresses = [\"10.53.53.53\"]\n{keys}")
}

fn service(keys: &str) -> Config {
    good(&[EXAMPLES[2], &text(keys)])
}

/// The one error that these keys make.
fn error(keys: &str) -> String {
    let errors = bad(&text(keys));
    assert_eq!(errors.len(), 1, "{keys}: {errors:?}");
    errors[0].clone()
}

fn check(keys: &str) -> String {
    format!("[[service.check]]\nname = \"backend\"\n{keys}\n")
}

fn made(keys: &str) -> CheckSettings {
    service(&check(keys)).checks[0].clone()
}

fn page(url: &str) -> Option<Page> {
    let keys = check(&format!("type = \"http\"\nurl = \"{url}\""));
    let config = read(&[EXAMPLES[2], &text(&keys)], &[]).ok()?;
    match config.checks[0].kind.clone() {
        CheckKind::Http(page) => Some(page),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_service_with_a_target_gets_no_sockets_of_this_node() {
    let config = service("target = \"127.0.0.1\"");
    assert_eq!(config.services[0].answered_by, AnsweredBy::Another);
    assert!(config.dns.service_sockets.is_empty());
    assert_eq!(
        config.targets[0].addresses,
        ["127.0.0.1:53".parse().unwrap()]
    );
    assert!(config.targets[0].tcp && config.targets[0].probe.is_none());
    assert!(config.services[0].checks.is_empty());
    assert!(
        config.services[0].interface.is_some(),
        "its address is ours"
    );
    let own = service("");
    assert_eq!(own.services[0].answered_by, AnsweredBy::Workers);
    assert!(own.targets.is_empty());
}

/// The system's resolvers, perhaps the target itself, are nothing to watch for nobody.
#[test]
fn a_node_that_nobody_asks_has_no_upstreams_unless_they_are_written() {
    let service = &text("target = \"127.0.0.1\"");
    let neighbor = "[bgp]\nasn = 65053\n[[bgp.neighbor]]\naddress = \"10.0.0.1\"\nasn = 65000\n";
    let base = format!("{service}\n{neighbor}");
    assert!(good(&[&base]).dns.zones.is_empty());
    let listens = format!("{base}[dns]\nlisten = [\"127.0.0.1:5300\"]\n");
    assert_eq!(good(&[&listens]).dns.zones.len(), 1);
    let forwards = format!("{base}[[forward]]\nzone = \".\"\nupstreams = [\"192.0.2.1\"]\n");
    assert_eq!(good(&[&forwards]).dns.zones.len(), 1);
}

#[test]
fn the_announce_only_example_means_what_it_says() {
    let config = good(&[EXAMPLES[4]]);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let target = &config.targets[0];
    assert_eq!(target.addresses.len(), 2);
    assert_eq!((target.names.len(), target.names_needed), (5, 3));
    let checks = &config.services[0].checks;
    let names: Vec<_> = checks.iter().map(|check| &*check.name).collect();
    assert_eq!(names, ["unbound-control", "names"], "names come last");
    assert_eq!(checks[0].fault, CheckFault::Local);
    assert_eq!((checks[1].fall, checks[1].rise), (3, 2));
    assert_eq!(config.checks[0].interval, Duration::from_secs(10));
    assert!(config.dns.service_sockets.is_empty() && config.dns.zones.is_empty());
}

#[test]
fn what_is_said_of_a_target_is_good_up_to_its_limits_and_no_further() {
    let target = |rest: &str| format!("target = \"127.0.0.1\"\n{rest}");
    for keys in [
        "target = [\"127.0.0.1:5353\", \"::1\"]",
        "target = \"192.0.2.7:53\"",
        "target = \"10.53.53.53\"",
        "target = \"127.0.0.1\"\nprobe = \"localhost. A\"",
        "target = \"127.0.0.1\"\ntcp = false",
        "target = \"127.0.0.1\"\nnames = [\"*.example. A\"]\nnames_needed = 1",
    ] {
        service(keys);
    }
    let names = |count: usize| {
        let list: Vec<_> = (0..count).map(|n| format!("\"n{n}.example. A\"")).collect();
        format!("target = \"127.0.0.1\"\nnames = [{}]", list.join(", "))
    };
    assert_eq!(service(&names(16)).targets[0].names_needed, 9);
    assert_eq!(service(&names(5)).targets[0].names_needed, 3);
    for (keys, told) in [
        (names(17), "at most 16 names"),
        ("target = []".into(), "an address of this host"),
        ("target = 53".into(), "a text in quotes or a list of them"),
        ("target = \"unbound\"".into(), "an address and a port"),
        ("target = \"0.0.0.0\"".into(), "no address at all"),
        (
            "target = [\"127.0.0.1\", \"127.0.0.2\"]".into(),
            "one address per family",
        ),
        (target("probe = \"localhost.\""), "a name and a type"),
        (target("names = [\"a. A\", \"a. A\"]"), "listed twice"),
        (target("names_needed = 1"), "there are no names"),
        (
            target("names = [\"a. A\"]\nnames_needed = 2"),
            "from 1 to 1",
        ),
        ("probe = \"localhost. A\"".into(), "add target"),
        ("names = [\"a. A\"]".into(), "add target"),
        ("tcp = false".into(), "add target"),
    ] {
        let error = error(&keys);
        assert!(error.contains(told), "{keys}: {error}");
    }
}

#[test]
fn a_target_is_not_where_this_node_answers_itself() {
    let listen = "target = \"127.0.0.1:5300\"\n[dns]\nlisten = [\"127.0.0.1:5300\"]";
    let told = error(listen);
    assert!(
        told.starts_with("1.toml:4:10: error: service.target: "),
        "{told}"
    );
    assert!(
        told.contains("this node answers at 127.0.0.1:5300 itself"),
        "{told}"
    );
    let other = "target = \"10.53.54.53\"\n\
                 [[service]]\nname = \"own\"\naddresses = [\"10.53.54.53\"]";
    assert!(error(other).contains("this node answers at 10.53.54.53:53 itself"));
}

#[test]
fn every_key_of_a_check_means_what_it_says() {
    let keys = "type = \"exec\"\ncommand = [\"/bin/check\", \"-v\"]\ninterval = \"30s\"\n\
                timeout = \"10s\"\nfall = 1\nrise = 7\nfault = \"local\"";
    let config = service(&check(keys));
    let policy = &config.services[0].checks[0];
    assert_eq!(
        (&*policy.name, policy.fault),
        ("backend", CheckFault::Local)
    );
    assert_eq!((policy.fall, policy.rise), (1, 7));
    let settings = &config.checks[0];
    assert_eq!(settings.interval, Duration::from_secs(30));
    assert_eq!(settings.timeout, Duration::from_secs(10));
    let CheckKind::Exec(command) = &settings.kind else {
        panic!("{settings:?}");
    };
    assert_eq!(
        (&*command.program, &*command.arguments),
        ("/bin/check", &["-v".to_owned()][..])
    );
    let told = command.environment.iter();
    let told: Vec<_> = told
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        told,
        [
            "SIDESTEP_SERVICE=guarded",
            "SIDESTEP_CHECK=backend",
            "SIDESTEP_PORT=53",
            "SIDESTEP_ADDRESS=10.53.53.53",
            "SIDESTEP_ADDRESSES=10.53.53.53",
        ]
    );
    let plain = service(&check("type = \"tcp\"\naddress = \"10.0.0.1:443\""));
    let policy = &plain.services[0].checks[0];
    assert_eq!(
        (policy.fault, policy.fall, policy.rise),
        (CheckFault::Shared, 3, 2)
    );
    let settings = &plain.checks[0];
    assert_eq!(settings.interval, Duration::from_secs(5));
    assert_eq!(settings.timeout, Duration::from_secs(2));
    let short = made("type = \"tcp\"\naddress = \"10.0.0.1:443\"\ninterval = \"1s\"");
    assert_eq!(short.timeout, Duration::from_millis(500));
}

/// RFC 9110 §4.2.1.
#[test]
fn a_page_is_at_an_address_and_without_tls() {
    for (url, address, host, path) in [
        (
            "http://127.0.0.1:8080/health",
            "127.0.0.1:8080",
            "127.0.0.1:8080",
            "/health",
        ),
        ("http://[::1]", "[::1]:80", "[::1]", "/"),
        ("http://[::1]:81?full=1", "[::1]:81", "[::1]:81", "/?full=1"),
        ("http://10.0.0.1/", "10.0.0.1:80", "10.0.0.1", "/"),
        (
            "http://localhost:9000/x",
            "127.0.0.1:9000",
            "localhost:9000",
            "/x",
        ),
        ("http://localhost", "127.0.0.1:80", "localhost", "/"),
    ] {
        let expected = Page {
            address: address.parse().unwrap(),
            host: host.to_owned(),
            path: path.to_owned(),
            status: vec![200..=200],
        };
        assert_eq!(page(url), Some(expected), "{url}");
    }
    for url in [
        "https://127.0.0.1/",
        "http://backend.example/health",
        "http://",
        "http://127.0.0.1:0/",
        "http://::1/",
        "http://user@127.0.0.1/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/#top",
        "http://127.0.0.1/\\r\\nX: y",
        "ftp://127.0.0.1/",
        "127.0.0.1",
    ] {
        assert_eq!(page(url), None, "{url}");
    }
}

#[test]
fn what_is_said_of_a_check_is_good_up_to_its_limits_and_no_further() {
    let tcp = |rest: &str| {
        check(&format!(
            "type = \"tcp\"\naddress = \"10.0.0.1:443\"\n{rest}"
        ))
    };
    let http = |status: &str| {
        let url = "type = \"http\"\nurl = \"http://127.0.0.1\"\nstatus = ";
        check(&format!("{url}{status}"))
    };
    for (inside, outside) in [
        (tcp("interval = \"1s\""), tcp("interval = \"999ms\"")),
        (tcp("interval = \"1h\""), tcp("interval = \"3601s\"")),
        (tcp("timeout = \"4999ms\""), tcp("timeout = \"5s\"")),
        (tcp("timeout = \"10ms\""), tcp("timeout = \"9ms\"")),
        (tcp("fall = 1"), tcp("fall = 0")),
        (tcp("rise = 100"), tcp("rise = 101")),
        (tcp("fault = \"shared\""), tcp("fault = \"both\"")),
        (http("[100, 599]"), http("[99]")),
        (http("[\"200-399\", 404]"), http("[\"399-200\"]")),
        (http("[\"200-200\"]"), http("[\"2xx\"]")),
        (http("[200]"), http("[]")),
    ] {
        service(&inside);
        error(&outside);
    }
    for (keys, told) in [
        ("type = \"ping\"", "\"tcp\", \"http\" or \"exec\""),
        ("type = \"exec\"\ncommand = []", "no shell"),
        ("type = \"exec\"\ncommand = \"true\"", "a list in brackets"),
        (
            "type = \"tcp\"\naddress = \"10.0.0.1:1\"\nurl = \"http://10.0.0.1\"",
            "remove this key",
        ),
        (
            "type = \"tcp\"\naddress = \"10.0.0.1\"",
            "an address and a port",
        ),
        ("type = \"http\"\nurl = \"https://10.0.0.1\"", "no TLS"),
    ] {
        let error = error(&check(keys));
        assert!(error.contains(told), "{keys}: {error}");
    }
    for name in ["", "two words", "names", &"n".repeat(65)] {
        let keys = format!(
            "[[service.check]]\nname = \"{name}\"\ntype = \"tcp\"\naddress = \"10.0.0.1:1\""
        );
        assert!(error(&keys).contains("name"), "{name:?}");
    }
    let twice = [tcp(""), tcp("")].concat();
    assert!(error(&twice).contains("another check is named \"backend\""));
    let one_bracket = "[service.check]\nname = \"backend\"";
    assert!(bad(&text(one_bracket))[0].contains("[[service.check]]"));
}
