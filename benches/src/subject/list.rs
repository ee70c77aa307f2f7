//! The subjects, in the order of the tables.

use super::{File, Program, Role, Subject};
use crate::process::{over_tcp, over_udp};

/// Names of the peers, in the order of the tables.
pub(crate) const PEERS: [&str; 5] = [
    "dnsdist",
    "unbound",
    "pdns-recursor",
    "knot-resolver",
    "bind9",
];

/// All that can be measured.
pub(crate) const SUBJECTS: [Subject; 9] = [
    limit("limit-udp", &[own(&["limit", "udp", "--listen", LISTEN])]),
    Subject {
        // It has no UDP.
        ask: over_tcp,
        ..limit("limit-tcp", &[own(&["limit", "tcp", "--listen", LISTEN])])
    },
    limit(
        "limit-relay",
        &[own(&[
            "limit",
            "relay",
            "--listen",
            LISTEN,
            "--upstream",
            "127.0.0.1:{{upstream_port}}",
        ])],
    ),
    Subject {
        name: "sidestep",
        role: Role::Product,
        programs: &[Program {
            file: File::Built("sidestep"),
            arguments: &["run", "--config", "{{folder}}/sidestep.toml"],
        }],
        configuration: Some(("sidestep.toml", include_str!("../../peers/sidestep.toml"))),
        keeps_tcp_apart: false,
        ask: over_udp,
        version: "--version",
        entry_octets: 130,
    },
    Subject {
        name: PEERS[0],
        role: Role::Peer { package: "dnsdist" },
        programs: &[installed(
            "dnsdist",
            &[
                "--supervised",
                "--disable-syslog",
                "--config",
                "{{folder}}/dnsdist.conf",
            ],
        )],
        configuration: Some(("dnsdist.conf", include_str!("../../peers/dnsdist.conf"))),
        keeps_tcp_apart: true,
        ask: over_udp,
        version: "--version",
        entry_octets: 310,
    },
    Subject {
        name: PEERS[1],
        role: Role::Peer { package: "unbound" },
        programs: &[installed(
            "unbound",
            &["-d", "-c", "{{folder}}/unbound.conf"],
        )],
        configuration: Some(("unbound.conf", include_str!("../../peers/unbound.conf"))),
        keeps_tcp_apart: false,
        ask: over_udp,
        version: "-V",
        entry_octets: 660,
    },
    Subject {
        name: PEERS[2],
        role: Role::Peer {
            package: "pdns-recursor",
        },
        programs: &[installed("pdns_recursor", &["--config-dir={{folder}}"])],
        configuration: Some(("recursor.conf", include_str!("../../peers/recursor.conf"))),
        keeps_tcp_apart: false,
        ask: over_udp,
        version: "--version",
        entry_octets: 500,
    },
    Subject {
        name: PEERS[3],
        role: Role::Peer {
            package: "knot-resolver",
        },
        // A cache that runs full is emptied, unless the second program makes room in time; and it
        // gives up when it has no room to work in. So it looks often, and begins early.
        programs: &[
            installed(
                "kresd",
                &["-n", "-c", "{{folder}}/kresd.conf", "{{folder}}"],
            ),
            installed(
                "kres-cache-gc",
                &["-c", "{{folder}}/cache", "-d", "20", "-u", "70"],
            ),
        ],
        configuration: Some(("kresd.conf", include_str!("../../peers/kresd.conf"))),
        keeps_tcp_apart: false,
        ask: over_udp,
        version: "--version",
        entry_octets: 200,
    },
    Subject {
        name: PEERS[4],
        role: Role::Peer { package: "bind9" },
        programs: &[installed(
            "named",
            &["-g", "-n", "1", "-c", "{{folder}}/named.conf"],
        )],
        configuration: Some(("named.conf", include_str!("../../peers/named.conf"))),
        keeps_tcp_apart: false,
        ask: over_udp,
        version: "-V",
        entry_octets: 315,
    },
];

/// Those that forward to two upstreams, 127.0.0.1 and 127.0.0.2, and to 127.0.0.3 for another zone.
pub(crate) const TROUBLED: [Subject; 5] = [
    troubled(
        3,
        (
            "sidestep.toml",
            include_str!("../../peers/trouble/sidestep.toml"),
        ),
    ),
    troubled(
        4,
        (
            "dnsdist.conf",
            include_str!("../../peers/trouble/dnsdist.conf"),
        ),
    ),
    troubled(
        5,
        (
            "unbound.conf",
            include_str!("../../peers/trouble/unbound.conf"),
        ),
    ),
    troubled(
        6,
        (
            "recursor.conf",
            include_str!("../../peers/trouble/recursor.conf"),
        ),
    ),
    troubled(
        8,
        ("named.conf", include_str!("../../peers/trouble/named.conf")),
    ),
];

/// Sidestep when it refuses one client prefix.
pub(crate) const FENCED: Subject = troubled(
    3,
    (
        "sidestep.toml",
        include_str!("../../peers/trouble/fenced.toml"),
    ),
);

/// A subject with another configuration.
const fn troubled(place: usize, configuration: (&'static str, &'static str)) -> Subject {
    let Subject {
        name,
        role,
        programs,
        version,
        entry_octets,
        ..
    } = SUBJECTS[place];
    Subject {
        name,
        role,
        programs,
        configuration: Some(configuration),
        keeps_tcp_apart: false,
        ask: over_udp,
        version,
        entry_octets,
    }
}

const LISTEN: &str = "127.0.0.1:{{port}}";

const fn limit(name: &'static str, programs: &'static [Program]) -> Subject {
    Subject {
        name,
        role: Role::Limit,
        programs,
        configuration: None,
        keeps_tcp_apart: false,
        ask: over_udp,
        version: "",
        entry_octets: 1,
    }
}

const fn own(arguments: &'static [&'static str]) -> Program {
    Program {
        file: File::Own,
        arguments,
    }
}

const fn installed(file: &'static str, arguments: &'static [&'static str]) -> Program {
    Program {
        file: File::Installed(file),
        arguments,
    }
}
