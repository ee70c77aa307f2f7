//! Drills: each breaks one thing, waits until traffic has moved, mends it, waits until traffic is
//! back, and counts what a client lost meanwhile.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::budget::{Budget, Fault, Limit, TABLE, Third};
use crate::client::{Client, Names, PATIENCE, Tcp};
use crate::place::{FIRST, SECOND};
use crate::report::say;
use crate::results::{Measured, Repetition, Results};
use crate::runner::{Lab, Paths};
use crate::sentinel::{self, Sentinel};
use crate::{http, report, setting, stop};

mod fault;
mod flood;
mod garbage;
mod journal;
mod loops;
mod ready;
mod refuser;
mod wedge;

use journal::Journal;

pub(crate) use ready::wait_until_ready;

/// How often a repetition is repeated in which the machine itself stood still.
const MORE_ATTEMPTS: u32 = 3;
/// So long every query must be answered well until traffic counts as moved.
const STEADY: Duration = Duration::from_millis(500);
/// Traffic that has not moved by then never will.
const MOVE_LIMIT: Duration = Duration::from_secs(10);
/// A node that is not back by then is not coming back.
const RETURN_LIMIT: Duration = Duration::from_secs(45);

/// A node with a dead zone says so by then.
const TOLD_LIMIT: Duration = Duration::from_secs(5);
/// So long it is watched then.
const TOLD_WATCH: Duration = Duration::from_secs(1);
/// As many queries have to be asked during a drain, over UDP and TCP.
const QUERIES: usize = 20_000;
const QUERIES_LIMIT: Duration = Duration::from_secs(30);
/// So few lost queries for cached names are told one by one, where some may be lost.
const FEW: u32 = 5;

/// The `drill` command. Returns whether all could be measured; the budget is the report's affair.
pub(crate) fn run(paths: Paths, names: &[String], repetitions: u32) -> Result<bool> {
    let mut chosen = choose(names)?;
    if names.is_empty() {
        chosen.retain(|budget| budget.is_usual(repetitions));
    }
    let state = paths.state.clone();
    let mut results = if names.is_empty() {
        Results::default()
    } else {
        Results::read(&paths.state)?
    };
    for budget in &chosen {
        results.drills.remove(budget.name);
    }
    results.write(&state)?;
    let mut is_measured = true;
    for topology in setting::TOPOLOGIES {
        let mut part = chosen.clone();
        part.retain(|budget| budget.setting.topology == topology);
        if !part.is_empty() {
            let paths = if topology == setting::ANYCAST.topology {
                paths.clone()
            } else {
                paths.clone().with_topology(Path::new(topology))
            };
            is_measured &= run_part(paths, &part, repetitions, (&mut results, &state))?;
        }
    }
    Ok(is_measured)
}

/// The drills of one topology; the results are kept in that folder.
fn run_part(
    paths: Paths,
    chosen: &[&Budget],
    repetitions: u32,
    (results, state): (&mut Results, &Path),
) -> Result<bool> {
    say("starting the lab");
    let mut lab = Lab::up(paths)?;
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
        results.write(state)?;
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
    let mut measured = Measured::default();
    if let Err(error) = fault::equip(lab, budget) {
        stop::check()?;
        measured.not_measured = Some(format!("{error:#}"));
        return Ok(measured);
    }
    let mut attempts_left = MORE_ATTEMPTS;
    while measured.repetitions.len() < budget.repetitions(repetitions) {
        let repetition = match repeat(lab, budget) {
            Ok(repetition) => repetition,
            Err(error) => {
                stop::check()?;
                measured.not_measured = Some(format!("{error:#}"));
                break;
            }
        };
        say(&format!("  {}", report::summary(&repetition)));
        let limit_ms = sentinel::LIMIT.as_secs_f64() * 1000.0;
        let was_still = repetition.sentinel_ms <= limit_ms;
        measured.repetitions.push(repetition);
        // What holds in spite of a pause of the machine would hold without; a long drill is not done again
        // to show it.
        if was_still || (budget.is_long && budget.judge(Some(&measured)).is_empty()) {
            attempts_left = MORE_ATTEMPTS;
            continue;
        }
        measured.repetitions.pop();
        if attempts_left > 0 {
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

fn repeat(lab: &mut Lab, budget: &Budget) -> Result<Repetition> {
    wait_until_ready(lab)?;
    match budget.fault {
        Fault::Routes => Ok(Repetition {
            violations: ready::routes(lab)?,
            ..Repetition::default()
        }),
        Fault::Metrics => Ok(Repetition {
            violations: metrics(lab)?,
            ..Repetition::default()
        }),
        Fault::Garbage => garbage::run(lab),
        Fault::Flood => flood::run(lab),
        Fault::CrashLoop => {
            let repetition = loops::crash(lab);
            fault::forget(lab)?;
            repetition
        }
        fault => {
            let before = fault::prepare(lab, fault)?;
            let repetition = interrupt(lab, budget, before);
            if fault == Fault::Flapping {
                fault::forget(lab)?;
            }
            repetition
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

/// What clients ask for while it happens, over UDP.
fn asked_names(fault: Fault) -> &'static [Names] {
    match fault {
        Fault::AllUpstreamsThenDrain => &[Names::Warmed, Names::New],
        Fault::Zone | Fault::CriticalZone => &[Names::Cached, Names::New, Names::OfZone],
        _ => &[Names::Cached, Names::New],
    }
}

/// One repetition of a drill that takes the first node out of service, or brings it back.
fn interrupt(lab: &mut Lab, budget: &Budget, before: &str) -> Result<Repetition> {
    let fault = budget.fault;
    let client = Client::asking(&lab.paths, asked_names(fault))?;
    client.wait_for(before, STEADY, MOVE_LIMIT)?;
    let is_tcp = matches!(budget.third, Some((Third::Tcp, _)));
    let tcp = is_tcp.then(|| Tcp::start(&lab.paths)).transpose()?;
    let sentinel = Sentinel::start(&lab.paths)?;
    let mut found = Repetition::default();
    let struck = client.now();
    let tcp_struck = tcp.as_ref().map(Tcp::now).unwrap_or_default();
    let mut tcp_since = tcp_struck;
    let asked = |client: &Client| client.count() + tcp.as_ref().map_or(0, Tcp::count);
    let asked_before = asked(&client);
    let blow = fault::strike(lab, fault)?;
    follow(lab, fault, &client, &mut found)?;
    let mut since = struck;
    if fault != Fault::Return {
        note(fault::outcome(lab, fault), &mut found.violations)?;
        if matches!(fault, Fault::Freeze | Fault::FreezeTarget | Fault::Wedge) {
            // Else it would wake up to the queries that wait for it, and answer them just in time.
            stop::keep_for(PATIENCE, || Ok(()))?;
        }
        since = client.now();
        tcp_since = tcp.as_ref().map(Tcp::now).unwrap_or_default();
        fault::repair(lab, fault, blow)?;
    }
    come_back(lab, fault, &client, &mut found)?;
    if is_tcp {
        stop::wait_until("enough queries are asked", QUERIES_LIMIT, || {
            Ok(asked(&client) - asked_before >= QUERIES)
        })?;
    }
    let tcp = tcp
        .map(|tcp| tcp.finish(tcp_struck, tcp_since))
        .transpose()?;
    let sentinel = sentinel.finish()?;
    let (seen, back) = client.finish(struck, (FIRST.node, since), fault == Fault::Wedge)?;
    ensure!(seen.cached.sent > 0 && seen.new.sent > 0, "no query left");
    // Many may be what the drill is about; a few are a riddle, and so is any where none may be lost.
    if seen.cached.lost <= FEW || budget.cached == Limit::NoLoss {
        for loss in &seen.losses {
            say(&format!("  lost: {loss}"));
        }
    }
    let in_ms = |time: Duration| time.as_secs_f64() * 1000.0;
    found.cached = seen.cached;
    found.new = seen.new;
    found.third = seen.zone;
    if let Some(tcp) = tcp {
        found.third = tcp.loss;
        let [away, home] = tcp.again;
        let text = format!("sent again over TCP: {away} as it left, {home} as it came back");
        found.seen.push(text);
    }
    found.back_ms = back.map(in_ms);
    found.renewed_ms = budget
        .renewed_ms
        .map(|_| in_ms(seen.last_lost.unwrap_or_default()));
    found.sentinel_ms = in_ms(sentinel);
    Ok(found)
}

/// Waits until the fault has led to what it should lead to.
fn follow(lab: &mut Lab, fault: Fault, client: &Client, found: &mut Repetition) -> Result<()> {
    let violations = &mut found.violations;
    let moved = || client.wait_for(SECOND.node, STEADY, MOVE_LIMIT);
    match fault {
        Fault::Return => Ok(()),
        Fault::AllUpstreams => fault::watch_shared(lab, violations),
        Fault::AllUpstreamsThenDrain => {
            let result = loops::move_clients(lab, violations);
            note(result, violations)
        }
        Fault::Flapping => loops::flap(lab, &mut found.seen, violations),
        Fault::Zone => {
            let journal = Journal::open(lab, FIRST.node)?;
            note(client.wait_until_told(STEADY, TOLD_LIMIT), violations)?;
            stop::keep_for(TOLD_WATCH, || Ok(()))?;
            for change in journal.changes()? {
                violations.push(format!("{} went to {}", change.family, change.to));
            }
            Ok(())
        }
        Fault::DrainAndRestart => {
            let result = loops::restart(lab, violations);
            note(result, violations)?;
            note(moved(), violations)
        }
        _ => note(moved(), violations),
    }
}

/// Waits until the first node serves again, as far as the fault lets it.
fn come_back(lab: &Lab, fault: Fault, client: &Client, found: &mut Repetition) -> Result<()> {
    let mut expect = |result| note(result, &mut found.violations);
    if fault == Fault::Flapping {
        // Its hold-down may last for minutes: that somebody serves is what matters.
        return expect(client.wait_for(SECOND.node, STEADY, MOVE_LIMIT));
    }
    if fault == Fault::AllUpstreamsThenDrain {
        // The site that clients went to is held by what it could not answer; another may be preferred.
        expect(client.wait_for_all(STEADY, MOVE_LIMIT))?;
        fault::drain(lab, "undrain")?;
    }
    expect(client.wait_for(FIRST.node, STEADY, RETURN_LIMIT))
}

/// What did not come about is a finding; only an interruption ends the drill.
fn note(result: Result<()>, violations: &mut Vec<String>) -> Result<()> {
    if let Err(error) = result {
        stop::check()?;
        violations.push(format!("{error:#}"));
    }
    Ok(())
}
