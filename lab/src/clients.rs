//! Every resolver that Debian packages asks a node: for names that exist, that do not, that need
//! TCP, that are aliases, and that fail.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::namespace::output;
use crate::report::{complain, say};
use crate::runner::{Lab, Paths};
use crate::{http, stop};

mod answer;

use answer::{Answer, read_lookup, read_message};

const NODE: &str = "node";
const CLIENT: &str = "client";
/// The node as its clients find it: its network's gateway in both families, and its router id.
const GATEWAY: &str = "10.0.2.1";
const GATEWAY_V6: &str = "fd00:2::1";
const ROUTER_ID: &str = "10.0.1.2";
/// Where systemd-resolved listens for programs on its host.
const STUB: &str = "127.0.0.53";
/// Five seconds of duplicate address detection and probes, and a busy machine.
const START_LIMIT: Duration = Duration::from_secs(20);
/// A client that is not done by then has waited for something that it should not wait for.
const LOOKUP_LIMIT_S: &str = "10";
/// Where Debian has it, and where `lab/check` unpacks it to: installed, it would make the host's
/// `/etc/resolv.conf` its own.
const RESOLVED: &str = "lib/systemd/systemd-resolved";

/// A client, and how it is told a name.
struct Client {
    name: &'static str,
    command: Vec<String>,
    read: fn(&str) -> Option<Answer>,
    /// It asks for IPv6 addresses too.
    has_v6: bool,
    /// It has no TCP: some of the addresses will do.
    takes_part: bool,
}

/// A name of the lab's zones.
struct Name {
    kind: &'static str,
    name: &'static str,
    answer: Answer,
}

/// The `clients` command: whether every client got what there is.
pub(crate) fn run(paths: Paths) -> Result<bool> {
    let clients = clients(&paths)?;
    let mut lab = Lab::up(paths)?;
    wait_until_ready(&mut lab)?;
    let resolved = resolved(&lab.paths)?;
    lab.run(CLIENT, &["mkdir", "-p", "/run/systemd"])?;
    lab.start_beside(CLIENT, &resolved)?;
    let mut is_good = true;
    for client in &clients {
        let mut told = Vec::new();
        for name in names() {
            let wrong = ask(&lab, client, &name)?;
            told.push(format!(
                "{} {}",
                name.kind,
                if wrong.is_some() { "WRONG" } else { "good" }
            ));
            if let Some(wrong) = wrong {
                is_good = false;
                complain(&format!("{}: {}: {wrong}", client.name, name.name));
            }
        }
        say(&format!("{:18} {}", client.name, told.join(", ")));
    }
    Ok(is_good)
}

fn names() -> Vec<Name> {
    let addresses = |texts: &[&str]| {
        let parsed = texts.iter().filter_map(|text| text.parse().ok());
        Answer::Addresses(parsed.collect())
    };
    let large: Vec<String> = (1..=100).map(|last| format!("198.51.100.{last}")).collect();
    let large: Vec<&str> = large.iter().map(String::as_str).collect();
    let name = |kind, name, answer| Name { kind, name, answer };
    vec![
        name(
            "existing",
            "www.clients.example",
            addresses(&["192.0.2.80", "2001:db8::80"]),
        ),
        name("missing", "missing.clients.example", Answer::Missing),
        name("truncated", "large.clients.example", addresses(&large)),
        name(
            "aliased",
            "alias.clients.example",
            addresses(&["192.0.2.80", "2001:db8::80"]),
        ),
        name("failing", "www.broken.example", Answer::Failing),
    ]
}

/// All clients; programs in C are compiled with either library.
fn clients(paths: &Paths) -> Result<Vec<Client>> {
    let source = paths.folder.join("clients/lookup.c");
    let compile = |compiler: &str, name: &str| -> Result<String> {
        let program = paths.state.join(name);
        std::fs::create_dir_all(&paths.state)?;
        output(Command::new(compiler).arg("-o").arg(&program).arg(&source))
            .with_context(|| format!("no {compiler}; lab/check installs it"))?;
        Ok(program.display().to_string())
    };
    let asking = |name, command: &[&str]| Client {
        name,
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        read: read_message,
        has_v6: false,
        takes_part: false,
    };
    let looking_up = |name, command: &[&str]| Client {
        read: read_lookup,
        has_v6: true,
        ..asking(name, command)
    };
    let (at_v6, at_stub) = (format!("@{GATEWAY_V6}"), format!("@{STUB}"));
    let script = paths.folder.join("clients/lookup.py").display().to_string();
    let (glibc, musl) = (
        compile("cc", "lookup-glibc")?,
        compile("musl-gcc", "lookup-musl")?,
    );
    Ok(vec![
        asking("dig", &["dig", &format!("@{ROUTER_ID}")]),
        asking("kdig", &["kdig", &at_v6]),
        asking("drill", &["drill", "-a", &format!("@{GATEWAY}")]),
        // Debian's, whatever else is called python3 here.
        looking_up("dnspython", &["/usr/bin/python3", &script, GATEWAY_V6]),
        looking_up("glibc", &[&glibc]),
        // Before 1.2.4 it takes what a truncated answer has; it sends no EDNS either.
        Client {
            takes_part: true,
            ..looking_up("musl", &[&musl])
        },
        asking("systemd-resolved", &["dig", &at_stub]),
    ])
}

/// Where systemd-resolved is on this host.
fn resolved(paths: &Paths) -> Result<PathBuf> {
    let places = [
        Path::new("/").join(RESOLVED),
        paths.state.join("resolved").join(RESOLVED),
    ];
    let found = places.into_iter().find(|place| place.exists());
    found.context("no systemd-resolved; lab/check unpacks it")
}

/// Waits until upstream, node and link are as they should be.
fn wait_until_ready(lab: &mut Lab) -> Result<()> {
    let namespace = lab.paths.namespace(NODE);
    stop::wait_until("the upstream answers", START_LIMIT, || {
        let question = [
            "dig",
            "+tries=1",
            "+time=1",
            "@10.0.1.1",
            "www.clients.example",
        ];
        Ok(lab
            .run(NODE, &question)
            .is_ok_and(|text| text.contains("192.0.2.80")))
    })?;
    let log = lab.paths.log(NODE);
    let mut is_running = true;
    let ready = stop::wait_until("the node is ready", START_LIMIT, || {
        is_running = lab.is_running(NODE)?;
        Ok(!is_running || http::get(&namespace, "/readyz").is_ok())
    });
    ready.with_context(|| format!("see {}", log.display()))?;
    if !is_running {
        bail!("the node ended; see {}", log.display());
    }
    Ok(())
}

/// What is wrong with what the client got, if anything.
fn ask(lab: &Lab, client: &Client, name: &Name) -> Result<Option<String>> {
    stop::check()?;
    let mut command = vec!["timeout".to_owned(), LOOKUP_LIMIT_S.to_owned()];
    command.extend(client.command.iter().cloned());
    command.push(name.name.to_owned());
    // Some programs exit with an error where the name has none.
    let text = match lab.run(CLIENT, &command) {
        Ok(text) => text,
        Err(error) => return Ok(Some(format!("{error:#}"))),
    };
    let expected = match &name.answer {
        Answer::Addresses(all) if !client.has_v6 => {
            let v4: BTreeSet<IpAddr> = all.iter().copied().filter(IpAddr::is_ipv4).collect();
            Answer::Addresses(v4)
        }
        Answer::Addresses(_) | Answer::Missing | Answer::Failing => name.answer.clone(),
    };
    let got = (client.read)(&text);
    let is_good = match (&got, &expected) {
        (Some(Answer::Addresses(some)), Answer::Addresses(all)) if client.takes_part => {
            !some.is_empty() && some.is_subset(all)
        }
        (got, expected) => got.as_ref() == Some(expected),
    };
    if is_good {
        return Ok(None);
    }
    Ok(Some(format!(
        "expected {expected}, got {}",
        got.map_or(format!("{text:?}"), |got| got.to_string())
    )))
}
