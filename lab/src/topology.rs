//! The part of containerlab's topology format that the lab uses.
//!
//! A key that the runner would not act on is an error, so that the two cannot drift apart.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// A topology file.
#[derive(Debug)]
pub(crate) struct Topology {
    pub(crate) nodes: BTreeMap<String, Node>,
    pub(crate) links: Vec<[Endpoint; 2]>,
}

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) program: Program,
    /// Files or folders beside the topology file, and where the node sees them.
    pub(crate) binds: Vec<Bind>,
    /// Key with dots, and value.
    pub(crate) sysctls: BTreeMap<String, String>,
    /// Commands with their arguments, run in order once the links are there.
    pub(crate) exec: Vec<Vec<String>>,
}

/// What a node runs, told by its image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// FRR; its `daemons` file says which of its daemons.
    Frr,
    /// BIRD with these arguments.
    Bird(Vec<String>),
    /// GoBGP's daemon with these arguments.
    Gobgp(Vec<String>),
    /// nsd with these arguments.
    Nsd(Vec<String>),
    /// The node itself with these arguments.
    Sidestep(Vec<String>),
    /// The same, and Unbound beside it, which it announces.
    SidestepAndUnbound(Vec<String>),
    /// Nothing: a host that the drills send from.
    None,
}

/// One entry of `binds`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bind {
    /// Relative to the folder of the topology file.
    pub(crate) source: String,
    pub(crate) target: String,
}

/// One end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) node: String,
    pub(crate) interface: String,
}

impl Program {
    /// Whether it is the node itself.
    pub(crate) fn is_sidestep(&self) -> bool {
        matches!(self, Self::Sidestep(_) | Self::SidestepAndUnbound(_))
    }
}

impl Topology {
    /// Reads a file.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&text).with_context(|| file.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let raw: Raw = serde_saphyr::from_str(text)?;
        let mut nodes = BTreeMap::new();
        for (name, node) in raw.topology.nodes {
            let node = Node::from_raw(node).with_context(|| format!("node {name}"))?;
            nodes.insert(name, node);
        }
        let mut links = Vec::new();
        for RawLink { endpoints: [a, b] } in raw.topology.links {
            links.push([Endpoint::parse(&a, &nodes)?, Endpoint::parse(&b, &nodes)?]);
        }
        Ok(Self { nodes, links })
    }

    /// The node of that name.
    pub(crate) fn node(&self, name: &str) -> Result<&Node> {
        self.nodes
            .get(name)
            .with_context(|| format!("the topology has no node {name}"))
    }
}

impl Node {
    fn from_raw(raw: RawNode) -> Result<Self> {
        ensure!(raw.kind == "linux", "kind {} is not linux", raw.kind);
        let arguments = words(raw.cmd.as_deref().unwrap_or_default())?;
        let program = match image_name(&raw.image) {
            "frr" => Program::Frr,
            "bird" => Program::Bird(arguments),
            "gobgp" => Program::Gobgp(arguments),
            "nsd" => Program::Nsd(arguments),
            "sidestep" => Program::Sidestep(arguments),
            "sidestep-unbound" => Program::SidestepAndUnbound(arguments),
            _ => Program::None,
        };
        let takes_cmd = !matches!(program, Program::Frr | Program::None);
        ensure!(takes_cmd || raw.cmd.is_none(), "cmd: not for this image");
        Ok(Self {
            program,
            binds: raw
                .binds
                .iter()
                .map(|b| Bind::parse(b))
                .collect::<Result<_>>()?,
            sysctls: raw
                .sysctls
                .into_iter()
                .map(|(key, value)| (key, value.to_string()))
                .collect(),
            exec: raw.exec.iter().map(|c| words(c)).collect::<Result<_>>()?,
        })
    }
}

impl Bind {
    fn parse(text: &str) -> Result<Self> {
        let (source, target) = text
            .split_once(':')
            .with_context(|| format!("bind {text}: not of the form source:target"))?;
        ensure!(
            target.starts_with('/') && !target.contains(':'),
            "bind {text}: the target must be an absolute path without options"
        );
        Ok(Self {
            source: source.to_owned(),
            target: target.to_owned(),
        })
    }
}

impl Endpoint {
    fn parse(text: &str, nodes: &BTreeMap<String, Node>) -> Result<Self> {
        let (node, interface) = text
            .split_once(':')
            .with_context(|| format!("endpoint {text}: not of the form node:interface"))?;
        ensure!(nodes.contains_key(node), "endpoint {text}: no such node");
        Ok(Self {
            node: node.to_owned(),
            interface: interface.to_owned(),
        })
    }
}

/// `frr` of `frrouting/frr:v8.4.1`.
fn image_name(image: &str) -> &str {
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split(':').next().unwrap_or(name)
}

/// No shell stands between the file and the command, here as in containerlab.
fn words(text: &str) -> Result<Vec<String>> {
    ensure!(
        !text.contains(['\'', '"', '\\', '$', '|', '>']),
        "{text}: quoting and shell syntax are not supported"
    );
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[expect(
        dead_code,
        reason = "containerlab wants it; namespaces are named by their folder"
    )]
    name: String,
    topology: RawTopology,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTopology {
    nodes: BTreeMap<String, RawNode>,
    links: Vec<RawLink>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNode {
    kind: String,
    image: String,
    cmd: Option<String>,
    #[serde(default)]
    binds: Vec<String>,
    #[serde(default)]
    sysctls: BTreeMap<String, i64>,
    #[serde(default)]
    exec: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLink {
    endpoints: [String; 2],
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "
name: small
topology:
  nodes:
    r:
      kind: linux
      image: frrouting/frr:v8.4.1
      binds: [r.conf:/etc/frr/frr.conf]
      sysctls: &s {net.ipv4.ip_forward: 1}
      exec: [ip address replace 10.0.0.1/24 dev eth1]
    n: {kind: linux, image: sidestep, cmd: run --config /x, sysctls: *s}
  links:
    - endpoints: [\"r:eth1\", \"n:eth1\"]
";

    #[test]
    fn nodes_links_and_programs_are_read() {
        let topology = Topology::parse(SMALL).unwrap();
        let router = topology.node("r").unwrap();
        assert_eq!(router.program, Program::Frr);
        assert_eq!(router.binds[0].target, "/etc/frr/frr.conf");
        assert_eq!(router.exec[0][2], "replace");
        let node = topology.node("n").unwrap();
        assert_eq!(
            node.program,
            Program::Sidestep(vec!["run".into(), "--config".into(), "/x".into()])
        );
        assert_eq!(node.sysctls["net.ipv4.ip_forward"], "1");
        assert_eq!(topology.links[0][1].node, "n");
        assert!(topology.node("x").is_err());
    }

    #[test]
    fn what_the_runner_would_not_do_is_an_error() {
        for (from, to) in [
            ("image: sidestep,", "image: sidestep, ports: [],"),
            ("image: sidestep,", "image: alpine:3,"),
            ("kind: linux, image", "kind: bridge, image"),
            ("\"n:eth1\"", "\"x:eth1\""),
            ("ip address replace", "sh -c 'ip address'"),
            ("r.conf:/etc/frr/frr.conf", "r.conf:/etc/frr/frr.conf:ro"),
        ] {
            let text = SMALL.replace(from, to);
            assert_ne!(text, SMALL);
            assert!(Topology::parse(&text).is_err(), "{to}");
        }
    }

    #[test]
    fn the_labs_own_topologies_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let topology = Topology::read(&folder.join("anycast.clab.yml")).unwrap();
        assert_eq!(topology.nodes.len(), 10);
        assert_eq!(
            topology.node("node1").unwrap().binds,
            topology.node("node2").unwrap().binds,
            "both nodes have the same configuration"
        );
        let clients = Topology::read(&folder.join("clients.clab.yml")).unwrap();
        let siblings = Topology::read(&folder.join("siblings.clab.yml")).unwrap();
        for node in ["node2", "node3"] {
            assert_eq!(
                siblings.node(node).unwrap().binds,
                siblings.node("node1").unwrap().binds,
                "all nodes have the same configuration"
            );
        }
        let bfd = Topology::read(&folder.join("anycast-bfd.clab.yml")).unwrap();
        for node in ["core", "client", "upstream1", "sentinel2"] {
            let exec = |topology: &Topology| topology.node(node).unwrap().exec.clone();
            assert_eq!(
                exec(&topology),
                exec(&bfd),
                "the drills know one set of addresses"
            );
        }
        let others = ["routers", "anycast-siblings", "anycast-unbound"];
        let others = others.map(|name| {
            let file = folder.join(format!("{name}.clab.yml"));
            Topology::read(&file).unwrap()
        });
        for topology in others.iter().chain([&topology, &clients, &siblings, &bfd]) {
            for bind in topology.nodes.values().flat_map(|node| &node.binds) {
                assert!(folder.join(&bind.source).exists(), "{}", bind.source);
            }
        }
    }
}
