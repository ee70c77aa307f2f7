//! Drills: each breaks one thing, waits until traffic has moved, mends it, waits until traffic is
//! back, and counts what a client lost meanwhile.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::budget::{Budget, Fault, TABLE};
use crate::client::{Client, PATIENCE};
use crate::place::{FIRST, SECOND};
use crate::report::say;
use crate::results::{Measured, Repetition, Results};
use crate::runner::{Lab, Paths};
use crate::sentinel::{self, Sentinel};
use crate::{http, report, stop};

mod fault;
mod garbage;
mod ready;

pub(crate) use ready::wait_until_ready;

/// Where the nodes have BFD.
const BFD_TOPOLOGY: &str = "anycast-bfd.clab.yml";
/// How often a repetition is repeated in which the machine itself stood still.
const MORE_ATTEMPTS: u32 = 3;
/// So long every query must be answered well until traffic counts as moved.
const STEADY: Duration = Duration::from_millis(500);
/// Traffic that has not moved by then never will.
const MOVE_LIMIT: Duration = Duration::from_secs(10);
/// A node that is not back by then is not coming back.
const RETURN_LIMIT: Duration = Duration::from_secs(45);

/// So few lost queries for cached names are told one by one.
const FEW: u32 = 5;

/// The `drill` command. Returns whether all could be measured; the budget is the report's affair.
pub(crate) fn run(paths: Paths, names: &[String], repetitions: u32) -> Result<bool> {
    let chosen = choose(names)?;
    let mut results = if names.is_empty() {
        Results::default()
    } else {
        Results::read(&paths.state)?
    };
    for budget in &chosen {
        results.drills.remove(budget.name);
    }
    results.write(&paths.state)?;
    let mut is_measured = true;
    for has_bfd in [false, true] {
        let mut part = chosen.clone();
        part.retain(|budget| budget.bfd.is_some() == has_bfd);
        if !part.is_empty() {
            is_measured &= run_part(&paths, &part, has_bfd, repetitions, &mut results)?;
        }
    }
    Ok(is_measured)
}

/// The drills of one topology.
fn run_part(
    paths: &Paths,
    chosen: &[&Budget],
    has_bfd: bool,
    repetitions: u32,
    results: &mut Results,
) -> Result<bool> {
    say("starting the lab");
    let of_lab = if has_bfd {
        paths.clone().with_topology(Path::new(BFD_TOPOLOGY))
    } else {
        paths.clone()
    };
    let mut lab = Lab::up(of_lab)?;
    wait_until_ready(&mut lab)?;
    let mut is_measured = true;
    for budget in chosen {
        say(&format!("{}: {}", budget.name, budget.text));
        let measured = measure(&mut lab, budget, repetitions)?;
        if let Some(reason) = &measured.not_measured {
            is_measured = false;
            say(&format!("  not measured: {reason}"));
            // Whatever state that left, the next drill begins in a good one.
            lab.rebuild()?;
        }
        results.drills.insert(budget.name.to_owned(), measured);
        results.write(&paths.state)?;
    }
    Ok(is_measured)
}

fn choose(names: &[String]) -> Result<Vec<&'static Budget>> {
    for name in names {
        if TABLE.iter().all(|budget| budget.name != name) {
            let known: Vec<&str> = TABLE.iter().map(|budget| budget.name).collect();
            bail!("no drill {name}; there are {}", known.join(", "));
        }
    }
    let chosen = |budget: &&Budget| names.is_empty() || names.iter().any(|n| n == budget.name);
    Ok(TABLE.iter().filter(chosen).collect())
}

/// Repeats a drill. An error is only what ends the whole run, that is an interruption.
fn measure(lab: &mut Lab, budget: &Budget, repetitions: u32) -> Result<Measured> {
    let fault = budget.fault;
    fault::equip(lab, budget)?;
    let mut measured = Measured::default();
    let mut attempts_left = MORE_ATTEMPTS;
    while measured.repetitions.len() < fault.repetitions(repetitions) {
        let repetition = match repeat(lab, fault) {
            Ok(repetition) => repetition,
            Err(error) => {
                stop::check()?;
                measured.not_measured = Some(format!("{error:#}"));
                break;
            }
        };
        say(&format!("  {}", report::summary(&repetition)));
        let limit_ms = sentinel::LIMIT.as_secs_f64() * 1000.0;
        if repetition.sentinel_ms <= limit_ms {
            measured.repetitions.push(repetition);
            attempts_left = MORE_ATTEMPTS;
        } else if attempts_left > 0 {
            attempts_left -= 1;
            say("  the machine stood still meanwhile: once more");
        } else {
            measured.not_measured = Some(format!(
                "the untouched path was silent for over {limit_ms:.0} ms each time"
            ));
            break;
        }
    }
    Ok(measured)
}

fn repeat(lab: &mut Lab, fault: Fault) -> Result<Repetition> {
    wait_until_ready(lab)?;
    match fault {
        Fault::Routes => Ok(Repetition {
            violations: ready::routes(lab)?,
            ..Repetition::default()
        }),
        Fault::Metrics => Ok(Repetition {
            violations: metrics(lab)?,
            ..Repetition::default()
        }),
        Fault::Garbage => garbage::run(lab),
        fault => {
            let before = fault::prepare(lab, fault)?;
            interrupt(lab, fault, before)
        }
    }
}

/// What Prometheus' own checker has to say about the serving node's metrics.
fn metrics(lab: &Lab) -> Result<Vec<String>> {
    let page = http::get(&lab.paths.namespace(FIRST.node), "/metrics")?;
    let file = lab.paths.state.join("metrics.txt");
    std::fs::write(&file, page)?;
    let output = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(File::open(&file)?)
        .output()
        .context("cannot run promtool: install the package prometheus")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    Ok(said.lines().map(str::to_owned).collect())
}

/// One repetition of a drill that takes the first node out of service, or brings it back.
fn interrupt(lab: &mut Lab, fault: Fault, before: &str) -> Result<Repetition> {
    let client = Client::start(&lab.paths)?;
    client.wait_for(before, STEADY, MOVE_LIMIT)?;
    let sentinel = Sentinel::start(&lab.paths)?;
    let mut violations = Vec::new();
    let struck = client.now();
    fault::strike(lab, fault)?;
    let mut since = struck;
    if fault == Fault::AllUpstreams {
        fault::watch_shared(lab, &mut violations)?;
    } else if fault != Fault::Return {
        note(
            client.wait_for(SECOND.node, STEADY, MOVE_LIMIT),
            &mut violations,
        )?;
    }
    if fault != Fault::Return {
        note(fault::outcome(lab, fault), &mut violations)?;
        if fault == Fault::Freeze {
            // Else it would wake up to the queries that wait for it, and answer them just in time.
            stop::keep_for(PATIENCE, || Ok(()))?;
        }
        since = client.now();
        fault::repair(lab, fault)?;
    }
    note(
        client.wait_for(FIRST.node, STEADY, RETURN_LIMIT),
        &mut violations,
    )?;
    let sentinel = sentinel.finish()?;
    let (seen, back) = client.finish(struck, (FIRST.node, since))?;
    ensure!(seen.cached.sent > 0 && seen.new.sent > 0, "no query left");
    // Many are what the drill is about; a few are a riddle.
    if seen.cached.lost <= FEW {
        for loss in &seen.losses {
            say(&format!("  lost: {loss}"));
        }
    }
    Ok(Repetition {
        cached: seen.cached,
        new: seen.new,
        back_ms: back.map(|back| back.as_secs_f64() * 1000.0),
        sentinel_ms: sentinel.as_secs_f64() * 1000.0,
        violations,
    })
}

/// What did not come about is a finding; only an interruption ends the drill.
fn note(result: Result<()>, violations: &mut Vec<String>) -> Result<()> {
    if let Err(error) = result {
        stop::check()?;
        violations.push(format!("{error:#}"));
    }
    Ok(())
}
