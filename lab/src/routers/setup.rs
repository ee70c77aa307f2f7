//! The files of the lab with a few lines changed, for each part of what is shown.
//!
//! A change names the text that it replaces, so that a file and its changes cannot drift apart.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::kind::{Kind, Session, Way};
use crate::routes::Family;

/// A text, and what stands in its place; everywhere.
pub(super) type Edit = (&'static str, &'static str);

/// The node's file in the folder of the lab.
const NODE_FILE: &str = "routers/sidestep.toml";
/// Stands for the folder that the files are written to.
const HERE: &str = "{here}";
/// What both ends may have as their key, and what only the node has.
const KEYS: [(&str, &str); 2] = [
    ("right.key", "of-node-and-router"),
    ("wrong.key", "of-nobody"),
];

/// What one part needs.
pub(super) struct Setup {
    /// In the report, and a folder.
    pub(super) name: &'static str,
    pub(super) node: &'static [Edit],
    /// In the order of [`Kind::ALL`]; `None`: this router takes no part.
    pub(super) routers: [Option<&'static [Edit]>; 3],
    pub(super) way: Way,
    /// TTL and hop limit of what the node sends.
    pub(super) ttl: u8,
    /// The node's AS number.
    pub(super) asn: u32,
    /// The routers have it too.
    pub(super) is_internal: bool,
    /// Sessions that cannot be had.
    pub(super) without: &'static [(Kind, Family)],
}

/// As the files are.
pub(super) const PLAIN: Setup = Setup {
    name: "plain",
    node: &[],
    routers: [Some(&[]), Some(&[]), Some(&[])],
    way: Way::Direct,
    ttl: 255,
    asn: 65053,
    is_internal: false,
    without: &[],
};

/// What a line of each file is followed by.
const NODE_LISTENS: Edit = (
    "hold_time = \"3s\"\n",
    "hold_time = \"3s\"\nlisten = [\"0.0.0.0:179\", \"[::]:179\"]\n",
);
const FRR_DIALS: &[Edit] = &[(" passive\n", " timers connect 1\n")];
const BIRD_DIALS: &[Edit] = &[(
    "passive on;",
    "connect delay time 1;\n\tconnect retry time 1;",
)];
const GOBGP_DIALS: &[Edit] = &[(
    "  [neighbors.transport.config]\n    passive-mode = true\n",
    "  [neighbors.timers.config]\n    connect-retry = 1\n    idle-hold-time-after-reset = 1\n",
)];

pub(super) const BOTH_DIAL: Setup = Setup {
    name: "both ends dial",
    node: &[NODE_LISTENS],
    routers: [Some(FRR_DIALS), Some(BIRD_DIALS), Some(GOBGP_DIALS)],
    ..PLAIN
};

pub(super) const NODE_WAITS: Setup = Setup {
    name: "the node waits",
    node: &[
        NODE_LISTENS,
        ("\"external\"", "\"external\"\npassive = true"),
    ],
    ..BOTH_DIAL
};

pub(super) const DELAY_OPEN: Setup = Setup {
    name: "delay open",
    node: &[("\"external\"", "\"external\"\ndelay_open = \"30s\"")],
    ..PLAIN
};

pub(super) const MARKS: Setup = Setup {
    name: "marks",
    node: &[(
        "\"external\"",
        "\"external\"\n\
        preferred = { prepend = 1, med = 50, communities = [\"65053:7\", \"no-advertise\"], \
        large_communities = [\"65053:1:2\"] }\n\
        backup = { prepend = 2, med = 70, large_communities = [\"65053:1:3\"] }",
    )],
    ..PLAIN
};

const FRR_KEY: &[Edit] = &[(
    " passive\n",
    " passive\n neighbor NODES password of-node-and-router\n",
)];
const BIRD_KEY: &[Edit] = &[(
    "passive on;",
    "passive on;\n\tpassword \"of-node-and-router\";",
)];
const GOBGP_KEY: &[Edit] = &[(
    "peer-as = 65053\n",
    "peer-as = 65053\n    auth-password = \"of-node-and-router\"\n",
)];

pub(super) const KEY: Setup = Setup {
    name: "MD5",
    node: &[(
        "\"external\"",
        "\"external\"\npassword_file = \"{here}/right.key\"",
    )],
    routers: [Some(FRR_KEY), Some(BIRD_KEY), Some(GOBGP_KEY)],
    ..PLAIN
};

pub(super) const WRONG_KEY: Setup = Setup {
    name: "MD5 with the wrong key",
    node: &[(
        "\"external\"",
        "\"external\"\npassword_file = \"{here}/wrong.key\"",
    )],
    ..KEY
};

const FRR_GTSM: &[Edit] = &[(
    " passive\n",
    " passive\n neighbor NODES ttl-security hops 1\n",
)];
const BIRD_GTSM: &[Edit] = &[("passive on;", "passive on;\n\tttl security on;")];
const GOBGP_GTSM: &[Edit] = &[(
    "  [neighbors.transport.config]\n",
    "  [neighbors.ttl-security.config]\n    enabled = true\n    ttl-min = 255\n  \
    [neighbors.transport.config]\n",
)];

pub(super) const GTSM: Setup = Setup {
    name: "GTSM",
    node: &[("\"external\"", "\"external\"\nttl_security = true")],
    routers: [Some(FRR_GTSM), Some(BIRD_GTSM), Some(GOBGP_GTSM)],
    ..PLAIN
};

/// The node's packets come with less than 255, as if from further away.
pub(super) const GTSM_AT_ROUTER: Setup = Setup {
    name: "GTSM refused by the router",
    node: &[("\"external\"", "\"external\"\nmultihop_ttl = 64")],
    ..GTSM
};

/// The routers' packets come with 1, as they send them by default to an external neighbour.
pub(super) const GTSM_AT_NODE: Setup = Setup {
    name: "GTSM refused by the node",
    routers: PLAIN.routers,
    ..GTSM
};

pub(super) const MULTIHOP: Setup = Setup {
    name: "multihop",
    node: &[
        ("10.0.1.1", "10.0.6.1"),
        ("fd00:1::1", "fd00:6::1"),
        ("10.0.2.1", "10.0.7.1"),
        ("fd00:2::1", "fd00:7::1"),
        ("10.0.3.1", "10.0.8.1"),
        ("fd00:3::1", "fd00:8::1"),
        ("\"external\"", "\"external\"\nmultihop_ttl = 8"),
    ],
    routers: [
        Some(&[
            ("10.0.1.2", "10.0.5.2"),
            ("fd00:1::2", "fd00:5::2"),
            (" passive\n", " passive\n neighbor NODES ebgp-multihop 8\n"),
        ]),
        Some(&[
            ("neighbor 10.0.2.2", "neighbor 10.0.5.2"),
            ("neighbor fd00:2::2", "neighbor fd00:5::2"),
            ("passive on;", "passive on;\n\tmultihop 8;"),
            // The node's own address has to be found by the routes of the kernel.
            ("4 { import none;", "4 { import all;"),
            ("6 { import none;", "6 { import all;"),
            (
                "protocol kernel kernel4 {",
                "protocol kernel kernel4 { learn;",
            ),
            (
                "protocol kernel kernel6 {",
                "protocol kernel kernel6 { learn;",
            ),
        ]),
        Some(&[
            ("10.0.3.2", "10.0.5.2"),
            ("fd00:3::2", "fd00:5::2"),
            (
                "  [neighbors.transport.config]\n",
                "  [neighbors.ebgp-multihop.config]\n    enabled = true\n    multihop-ttl = 8\n  \
                [neighbors.transport.config]\n",
            ),
        ]),
    ],
    way: Way::Far,
    ttl: 8,
    ..PLAIN
};

pub(super) const INTERNAL: Setup = Setup {
    name: "iBGP",
    node: &[("\"external\"", "\"internal\"")],
    routers: [
        Some(&[
            ("router bgp 65001", "router bgp 65053"),
            ("as external", "as internal"),
        ]),
        Some(&[
            ("local as 65002", "local as 65053"),
            ("external;", "internal;"),
        ]),
        Some(&[("as = 65003", "as = 65053")]),
    ],
    is_internal: true,
    ..PLAIN
};

/// The node's AS number takes four octets, and the routers know only two. Without capabilities there
/// is no family but IPv4.
pub(super) const TWO_OCTETS: Setup = Setup {
    name: "two-octet AS numbers",
    node: &[("asn = 65053", "asn = 4200000053")],
    routers: [
        Some(&[(
            " passive\n",
            " passive\n neighbor NODES dont-capability-negotiate\n",
        )]),
        Some(&[("passive on;", "passive on;\n\tenable as4 off;")]),
        None,
    ],
    asn: 4_200_000_053,
    without: &[(Kind::Frr, Family::V6)],
    ..PLAIN
};

pub(super) const ROLES: Setup = Setup {
    name: "roles",
    node: &[("\"external\"", "\"external\"\nrole = \"customer\"")],
    routers: [
        Some(&[(
            " passive\n",
            " passive\n neighbor NODES local-role provider\n",
        )]),
        Some(&[("passive on;", "passive on;\n\tlocal role provider;")]),
        None,
    ],
    ..PLAIN
};

pub(super) const WRONG_ROLES: Setup = Setup {
    name: "roles that do not fit",
    routers: [
        Some(&[(
            " passive\n",
            " passive\n neighbor NODES local-role customer\n",
        )]),
        Some(&[("passive on;", "passive on;\n\tlocal role customer;")]),
        None,
    ],
    ..ROLES
};

pub(super) const UNNUMBERED: Setup = Setup {
    name: "unnumbered",
    node: &[
        ("\"10.0.1.1\"", "\"interface:eth1\""),
        (
            "[[bgp.neighbor]]\naddress = \"fd00:1::1\"\nasn = \"external\"\n",
            "",
        ),
    ],
    routers: [
        Some(&[
            (" neighbor NODES passive\n", ""),
            (
                " neighbor 10.0.1.2 peer-group",
                " neighbor eth1 interface peer-group",
            ),
            (" neighbor fd00:1::2 peer-group NODES\n", ""),
            ("neighbor 10.0.1.2", "neighbor eth1"),
            ("neighbor fd00:1::2", "neighbor eth1"),
        ]),
        None,
        None,
    ],
    way: Way::Unnumbered,
    ..PLAIN
};

/// 50 ms three times at either end, with the routers that know BFD.
pub(super) const BFD: Setup = Setup {
    name: "BFD",
    node: &[(
        "\"external\"",
        "\"external\"\nbfd = { interval = \"50ms\", multiplier = 3 }",
    )],
    routers: [
        Some(&[
            (" passive\n", " passive\n neighbor NODES bfd profile node\n"),
            (
                "!\nrouter bgp",
                "!\nbfd\n profile node\n  detect-multiplier 3\n  receive-interval 50\n  \
                transmit-interval 50\n exit\nexit\n!\nrouter bgp",
            ),
        ]),
        Some(&[
            (
                "passive on;",
                "passive on;\n\tbfd { interval 50 ms; multiplier 3; };",
            ),
            ("template bgp", "protocol bfd { }\n\ntemplate bgp"),
        ]),
        None,
    ],
    ..PLAIN
};

/// Every part, for the test of the changes.
#[cfg(test)]
const ALL: [&Setup; 17] = [
    &PLAIN,
    &BOTH_DIAL,
    &NODE_WAITS,
    &DELAY_OPEN,
    &MARKS,
    &KEY,
    &WRONG_KEY,
    &GTSM,
    &GTSM_AT_ROUTER,
    &GTSM_AT_NODE,
    &MULTIHOP,
    &INTERNAL,
    &TWO_OCTETS,
    &ROLES,
    &WRONG_ROLES,
    &UNNUMBERED,
    &BFD,
];

impl Setup {
    /// All sessions that there should be.
    pub(super) fn sessions(&self) -> Vec<Session> {
        let mut sessions = Vec::new();
        for (kind, edits) in Kind::ALL.into_iter().zip(self.routers) {
            for family in Family::ALL {
                if edits.is_some() && !self.without.contains(&(kind, family)) {
                    sessions.push(Session::new(kind, family, self.way));
                }
            }
        }
        sessions
    }

    /// Writes the files of the node and of each router that takes part, and says where they are.
    pub(super) fn write(&self, lab: &Path, state: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
        let folder = state.join("etc").join(self.name.replace(' ', "-"));
        fs::create_dir_all(&folder)?;
        for (name, key) in KEYS {
            let mut options = OpenOptions::new();
            let file = options.create(true).truncate(true).write(true).mode(0o600);
            writeln!(file.open(folder.join(name))?, "{key}")?;
        }
        let mut sources = vec![("node", NODE_FILE, self.node)];
        for (kind, edits) in Kind::ALL.into_iter().zip(self.routers) {
            sources.extend(edits.map(|edits| (kind.node(), kind.file(), edits)));
        }
        let mut written = Vec::new();
        for (node, source, edits) in sources {
            let text = fs::read_to_string(lab.join(source))?;
            let text = change(&text, edits).with_context(|| format!("{source}: {}", self.name))?;
            let file = folder.join(Path::new(source).file_name().context("no file name")?);
            fs::write(&file, text.replace(HERE, &folder.display().to_string()))?;
            written.push((node, file));
        }
        Ok(written)
    }
}

fn change(text: &str, edits: &[Edit]) -> Result<String> {
    let mut text = text.to_owned();
    for (from, to) in edits {
        ensure!(text.contains(from), "nothing to change: {from}");
        text = text.replace(from, to);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_finds_what_it_changes() {
        let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
        let read = |file: &str| fs::read_to_string(lab.join(file)).unwrap();
        for setup in ALL {
            change(&read(NODE_FILE), setup.node).expect(setup.name);
            for (kind, edits) in Kind::ALL.into_iter().zip(setup.routers) {
                change(&read(kind.file()), edits.unwrap_or_default()).expect(setup.name);
            }
        }
    }

    #[test]
    fn sessions_are_of_both_families_but_for_those_that_cannot_be_had() {
        assert_eq!(PLAIN.sessions().len(), 6);
        let two = TWO_OCTETS.sessions();
        let names: Vec<String> = two.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["FRR IPv4", "BIRD IPv4", "BIRD IPv6"]);
        let far = MULTIHOP.sessions();
        assert_eq!(far[0].peer, "10.0.5.2");
        assert_eq!(far[5].router, Some("fd00:8::1".parse().unwrap()));
        assert_eq!(UNNUMBERED.sessions()[0].peer, "eth1");
    }
}
