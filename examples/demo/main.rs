//! Three sites on one machine: no root, no router, nothing to install.
//!
//! Three real nodes run as child processes and announce one anycast address by BGP to a small
//! router (this crate's own session code), which passes a client's queries to the best site. The
//! demo kills, hangs and drains nodes, silences their upstream, and tells what it cost the client.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a demo tells its story"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a shell: it runs the demo in real time"
)]

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

mod client;
mod fib;
mod nodes;
mod router;
mod timeline;
mod upstream;

use client::Samples;
use fib::Fib;
use nodes::Node;
use timeline::Toll;
use upstream::Upstream;

/// With this argument the program is a node instead.
pub(crate) const NODE_ARGUMENT: &str = "--node";
const SITES: u8 = 3;
/// How long traffic is watched before something is done to it.
const STEADY: Duration = Duration::from_millis(500);
/// How long anything may take to come about.
const LIMIT: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let result = match (arguments.next().as_deref(), arguments.next()) {
        (Some(NODE_ARGUMENT), Some(file)) => return sidestep::cli::run::node(Path::new(&file)),
        _ => demo(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Everything that is on the stage.
struct Stage {
    nodes: Vec<Node>,
    fib: Fib,
    samples: Samples,
    upstream: Upstream,
    rows: Vec<(&'static str, Toll, &'static str, bool)>,
}

fn demo() -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let upstream = Upstream::start().context("the demo's name server")?;
    let fib = Fib::default();
    let router = router::start(fib.clone(), SITES).context("the demo's router")?;
    let mut nodes = Vec::new();
    for index in 1..=SITES {
        let mut node = Node::new(index, folder.path(), upstream.address, router)?;
        node.start().context("starting a node")?;
        nodes.push(node);
    }
    let sites = nodes
        .iter()
        .map(|node| (node.unicast.into(), node.service))
        .collect();
    let entrance = fib::forward(fib.clone(), sites)?;
    println!(
        "Three sites announce {}/32; a client asks 200 times a second.\n",
        nodes::ANYCAST
    );
    let stop = Arc::new(AtomicBool::new(false));
    if !comes_true(|| fib.sites().len() == usize::from(SITES)) {
        let log = nodes.first().map(Node::last_log_lines).unwrap_or_default();
        bail!("the nodes did not announce themselves; the first one's log ends with:\n{log}");
    }
    for node in &nodes {
        client::warm(node.service).context("asking each site for the cached names")?;
    }
    let samples = client::start(entrance, Arc::clone(&stop))?;
    let mut stage = Stage {
        nodes,
        fib,
        samples,
        upstream,
        rows: Vec::new(),
    };
    let played = play(&mut stage);
    stop.store(true, Ordering::Relaxed);
    played?;
    stage.report()
}

fn play(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act(
        "all is well",
        "nothing lost",
        |toll| toll.lost == 0,
        |_| Ok(()),
    )?;
    stage.act(
        "kill -9 of the serving node",
        "gap under 500 ms",
        |toll| toll.longest_gap < Duration::from_millis(500),
        |stage| {
            let site = stage.serving()?;
            stage.nodes[site].signal("KILL")?;
            stage.leaves(site)?;
            stage.nodes[site].wait()?;
            stage.nodes[site].start()?;
            stage.returns(site)
        },
    )?;
    hang(stage)?;
    drain(stage)?;
    silence_upstream(stage)
}

fn hang(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act(
        "SIGSTOP of the serving node",
        "gap under the hold time + 500 ms",
        |toll| toll.longest_gap < Duration::from_millis(nodes::HOLD_TIME_S * 1000 + 500),
        |stage| {
            let site = stage.serving()?;
            stage.nodes[site].signal("STOP")?;
            stage.leaves(site)?;
            // What waits in the sockets of the hung node is older than the client's patience then.
            thread::sleep(client::PATIENCE);
            stage.nodes[site].signal("CONT")?;
            stage.returns(site)
        },
    )
}

fn drain(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act(
        "SIGTERM, then a new start",
        "nothing lost",
        |toll| toll.lost == 0,
        |stage| {
            let site = stage.serving()?;
            stage.nodes[site].signal("TERM")?;
            stage.leaves(site)?;
            match stage.nodes[site].wait()? {
                Some(0) => {}
                code => bail!("the drained node ended with {code:?} instead of 0"),
            }
            stage.nodes[site].start()?;
            stage.returns(site)
        },
    )
}

fn silence_upstream(stage: &mut Stage) -> anyhow::Result<()> {
    stage.act_on(
        "the upstream of all sites dies (cached names)",
        "nothing lost, no route gone",
        |sample| sample.is_cached,
        |toll| toll.lost == 0,
        |stage| {
            stage.upstream.set_silent(true);
            let all_are_backup = stage.wait_for(|stage| {
                let paths = stage
                    .nodes
                    .iter()
                    .filter_map(|node| stage.fib.path(&node.name));
                paths.filter(|path| path.graceful_shutdown).count() == usize::from(SITES)
            });
            thread::sleep(STEADY);
            stage.upstream.set_silent(false);
            if !all_are_backup {
                bail!("the nodes did not all become backup");
            }
            let none_is_backup = stage.wait_for(|stage| {
                let paths = stage
                    .nodes
                    .iter()
                    .filter_map(|node| stage.fib.path(&node.name));
                paths.filter(|path| !path.graceful_shutdown).count() == usize::from(SITES)
            });
            if none_is_backup {
                Ok(())
            } else {
                bail!("the nodes did not recover")
            }
        },
    )
}

impl Stage {
    fn act(
        &mut self,
        title: &'static str,
        budget: &'static str,
        is_within: impl Fn(&Toll) -> bool,
        script: impl FnOnce(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.act_on(title, budget, |_| true, is_within, script)
    }

    /// Plays one act and reckons what it cost the questions that `counts` picks.
    fn act_on(
        &mut self,
        title: &'static str,
        budget: &'static str,
        counts: impl Fn(&client::Sample) -> bool,
        is_within: impl Fn(&Toll) -> bool,
        script: impl FnOnce(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        println!("{title}");
        let before = Instant::now();
        thread::sleep(STEADY);
        let start = Instant::now();
        script(self).with_context(|| title)?;
        // The tail shows that traffic is steady again, and lets late answers come in.
        thread::sleep(STEADY);
        let end = Instant::now();
        thread::sleep(client::PATIENCE);
        let samples = self.samples.between(before, end);
        timeline::print(start, &samples, &self.fib.changes_since(start));
        let toll = timeline::toll(samples.iter().filter(|sample| counts(sample)));
        println!(
            "    {} of {} lost, longest gap {} ms\n",
            toll.lost,
            toll.asked,
            toll.longest_gap.as_millis()
        );
        let is_kept = toll.asked > 0 && is_within(&toll);
        self.rows.push((title, toll, budget, is_kept));
        Ok(())
    }

    fn wait_for(&self, condition: impl Fn(&Self) -> bool) -> bool {
        comes_true(|| condition(self))
    }

    fn serving(&self) -> anyhow::Result<usize> {
        let site = self.fib.best_site().context("no site has a route")?;
        self.nodes
            .iter()
            .position(|node| node.name == site)
            .context("an unknown site")
    }

    /// Waits until the site has no route and another one answers.
    fn leaves(&self, site: usize) -> anyhow::Result<()> {
        let name = &self.nodes[site].name;
        let gone = self.wait_for(|stage| stage.fib.path(name).is_none());
        let since = Instant::now();
        let moved = gone
            && self.wait_for(|stage| {
                stage
                    .samples
                    .answered_by(since)
                    .is_some_and(|node| node != *name)
            });
        if moved {
            Ok(())
        } else {
            bail!("traffic did not leave {name}")
        }
    }

    /// Waits until the site has a normal route again and answers.
    fn returns(&self, site: usize) -> anyhow::Result<()> {
        let node = &self.nodes[site];
        let announced = self.wait_for(|stage| {
            stage
                .fib
                .path(&node.name)
                .is_some_and(|path| !path.graceful_shutdown)
        });
        let since = Instant::now();
        let back = announced
            && self.wait_for(|stage| {
                stage
                    .samples
                    .answered_by(since)
                    .is_some_and(|name| name == node.name)
            });
        if back {
            return Ok(());
        }
        bail!(
            "{} did not come back; its log ends with:\n{}",
            node.name,
            node.last_log_lines()
        )
    }

    fn report(&self) -> anyhow::Result<()> {
        println!("{:<46} {:>6} {:>9}  budget", "act", "lost", "gap (ms)");
        for (title, toll, budget, is_kept) in &self.rows {
            let mark = if *is_kept { "kept" } else { "BROKEN" };
            let gap = toll.longest_gap.as_millis();
            println!("{title:<46} {:>6} {gap:>9}  {budget}: {mark}", toll.lost);
        }
        if self.rows.iter().all(|(.., is_kept)| *is_kept) {
            return Ok(());
        }
        bail!("a budget was broken")
    }
}

/// Looks every few milliseconds until `condition` holds; false after [`LIMIT`].
fn comes_true(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}
