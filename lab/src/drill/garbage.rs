//! Random bytes at every port of the serving node, as many as a bored stranger would send.

#![expect(clippy::disallowed_methods, reason = "paces what it sends")]

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use super::{MOVE_LIMIT, STEADY, ready, wait_until_ready};
use crate::client::Client;
use crate::message::{self, TYPE_A};
use crate::place::{CLIENT, FIRST, SERVICE};
use crate::report::say;
use crate::results::Repetition;
use crate::routes::Family;
use crate::runner::Lab;
use crate::sentinel::Sentinel;
use crate::{http, namespace, stop};

/// Some 20,000 a second for a second and a half.
const DATAGRAMS: usize = 30_000;
const CONNECTIONS: usize = 200;
const LARGEST: usize = 4096;
/// What the node's memory may grow by.
const GROWTH_KIB: u64 = 64 * 1024;
/// What the node may write about it.
const LOG_LINES: usize = 200;
/// After it, every query is answered for so long.
const AFTER: Duration = Duration::from_secs(2);

/// Floods, and then looks at the node: same process, same level, same route, little memory,
/// little said, and every query answered.
pub(super) fn run(lab: &mut Lab) -> Result<Repetition> {
    let seed = rand::rng().next_u64();
    say(&format!("  seed {seed}"));
    let mut random = StdRng::seed_from_u64(seed);
    let before = State::read(lab)?;
    let mut violations = flood(lab, &mut random)?;
    super::note(wait_until_ready(lab), &mut violations)?;
    if lab.is_running(FIRST.node)? {
        let after = State::read(lab)?;
        violations.extend(before.compare(&after));
    } else {
        violations.push("the node ended; see its log".to_owned());
    }
    let client = Client::start(&lab.paths)?;
    client.wait_for(FIRST.node, STEADY, MOVE_LIMIT)?;
    let sentinel = Sentinel::start(&lab.paths)?;
    let from = client.now();
    stop::keep_for(AFTER, || Ok(()))?;
    let sentinel = sentinel.finish()?;
    let (seen, _) = client.finish(from, (FIRST.node, from), false)?;
    Ok(Repetition {
        cached: seen.cached,
        new: seen.new,
        sentinel_ms: sentinel.as_secs_f64() * 1000.0,
        violations,
        ..Repetition::default()
    })
}

struct State {
    memory_kib: u64,
    log_lines: usize,
    levels: Vec<String>,
    route_lengths: Vec<u32>,
}

impl State {
    fn read(lab: &mut Lab) -> Result<Self> {
        let pid = lab.pid(FIRST.node)?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = memory.and_then(|text| text.split_whitespace().next());
        let page = http::get(&lab.paths.namespace(FIRST.node), "/status")?;
        let mut levels = Vec::new();
        collect_levels(&serde_json::from_str(&page)?, &mut levels);
        ensure!(!levels.is_empty(), "/status tells no level");
        let mut route_lengths = Vec::new();
        for family in Family::ALL {
            let path = ready::path_from_node(lab, &FIRST, family)?;
            route_lengths.push(path.context("no route from the node")?.length);
        }
        Ok(Self {
            memory_kib: memory.context("no VmRSS")?.parse()?,
            log_lines: std::fs::read_to_string(lab.paths.log(FIRST.node))?
                .lines()
                .count(),
            levels,
            route_lengths,
        })
    }

    fn compare(&self, after: &Self) -> Vec<String> {
        let mut violations = Vec::new();
        let growth_kib = after.memory_kib.saturating_sub(self.memory_kib);
        let lines = after.log_lines.saturating_sub(self.log_lines);
        say(&format!(
            "  memory grew by {growth_kib} KiB, the log by {lines} lines"
        ));
        if growth_kib > GROWTH_KIB {
            violations.push(format!("memory grew by {growth_kib} KiB"));
        }
        if lines > LOG_LINES {
            violations.push(format!("{lines} new lines in the log"));
        }
        if self.levels != after.levels {
            violations.push(format!(
                "levels went from {:?} to {:?}",
                self.levels, after.levels
            ));
        }
        if self.route_lengths != after.route_lengths {
            violations.push("the route changed".to_owned());
        }
        violations
    }
}

/// Every value of a key `level`, wherever it stands.
fn collect_levels(value: &serde_json::Value, levels: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str() {
                    Some(level) if key == "level" => levels.push(level.to_owned()),
                    _ => collect_levels(value, levels),
                }
            }
        }
        serde_json::Value::Array(values) => {
            for value in values {
                collect_levels(value, levels);
            }
        }
        _ => {}
    }
}

fn flood(lab: &Lab, random: &mut StdRng) -> Result<Vec<String>> {
    let client = lab.paths.namespace(CLIENT);
    let router = lab.paths.namespace(FIRST.router);
    let [service, _] = SERVICE;
    let (dns, bgp) = (
        SocketAddr::from((service, 53)),
        SocketAddr::from((FIRST.node_address, 179)),
    );
    namespace::inside(&client, || throw_datagrams(dns, random))?;
    let mut violations = Vec::new();
    // To port 179 as a stranger, and as the router, whom the node must listen to.
    for (namespace, target) in [(&client, dns), (&client, bgp), (&router, bgp)] {
        let taken = namespace::inside(namespace, || connect_and_write(target, random))?;
        if taken == 0 {
            violations.push(format!("nothing accepts on TCP {}", target.port()));
        }
    }
    Ok(violations)
}

/// Pure noise, and queries with a few octets changed, in turn.
fn throw_datagrams(target: SocketAddr, random: &mut StdRng) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let query = message::query(7, &message::question("c1.cached.lab.test", TYPE_A));
    for index in 0..DATAGRAMS {
        let bytes = if index % 2 == 0 {
            noise(random, 600)
        } else {
            let mut bytes = query.clone();
            for _ in 0..random.random_range(1..6) {
                let at = random.random_range(2..bytes.len());
                if let Some(octet) = bytes.get_mut(at) {
                    *octet = random.random();
                }
            }
            bytes
        };
        // What does not fit into the queue is dropped, as on a real line.
        let _ = socket.send_to(&bytes, target);
        if index % 100 == 99 {
            stop::check()?;
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

/// Connections with noise, every other one behind a beginning that the protocol expects.
/// Returns how many were accepted.
fn connect_and_write(target: SocketAddr, random: &mut StdRng) -> Result<usize> {
    let mut taken = 0;
    let mut open = Vec::new();
    for index in 0..CONNECTIONS {
        stop::check()?;
        let Ok(mut stream) = TcpStream::connect_timeout(&target, Duration::from_secs(1)) else {
            continue;
        };
        taken += 1;
        stream.set_write_timeout(Some(Duration::from_secs(1)))?;
        if index % 2 == 0 {
            let start: &[u8] = if target.port() == 179 {
                &[0xFF; 16]
            } else {
                &[0x01, 0x00]
            };
            let _ = stream.write_all(start);
        }
        // The node may close at any time; that is its good right.
        let _ = stream.write_all(&noise(random, LARGEST));
        match index % 3 {
            0 => {
                let _ = stream.shutdown(Shutdown::Both);
            }
            // Kept open until all are through, and then closed.
            _ => open.push(stream),
        }
    }
    Ok(taken)
}

fn noise(random: &mut StdRng, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; random.random_range(0..=most)];
    random.fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_found_wherever_they_stand() {
        let page = serde_json::json!({
            "services": [{"name": "a", "ipv4": {"level": "preferred"}}, {"level": "backup"}],
            "level_count": 2
        });
        let mut levels = Vec::new();
        collect_levels(&page, &mut levels);
        assert_eq!(levels, ["preferred", "backup"]);
    }
}
