//! Which runs are made: a small share, all of them, or the one that failed.

use std::env;

use crate::engine::{self, Failure};
use crate::setup::Setup;
use crate::watch::Summary;

/// Fleet sizes with how many seeds each: of an ordinary test run, and with
/// `SIDESTEP_FLEET=full`.
const SHARE: &[(usize, u64)] = &[(20, 3), (100, 1)];
const FULL: &[(usize, u64)] = &[(20, 200), (1000, 3)];
const FEW: &[(usize, u64)] = &[(20, 2)];
const FULL_FEW: &[(usize, u64)] = &[(20, 20), (1000, 1)];

/// Plays `scenario` with each fleet that the environment asks for, and panics at the first failure.
pub(crate) fn play(scenario: &'static str, change: impl Fn(&mut Setup)) {
    play_sizes(scenario, [SHARE, FULL], change);
}

/// The same with fewer fleets, for what costs more.
pub(crate) fn play_few(scenario: &'static str, change: impl Fn(&mut Setup)) {
    play_sizes(scenario, [FEW, FULL_FEW], change);
}

fn play_sizes(scenario: &'static str, sizes: [&[(usize, u64)]; 2], change: impl Fn(&mut Setup)) {
    let mut all = Summary {
        carried_percent_min: 100,
        ..Summary::default()
    };
    for (nodes, seed) in fleets(scenario, sizes) {
        let mut setup = Setup::new(scenario, nodes, seed);
        change(&mut setup);
        match engine::run(setup) {
            Ok((summary, _)) => all.add(&summary),
            Err(failure) => panic!("{}", failure.text),
        }
    }
    println!("{scenario}: {all:?}");
}

/// Plays the small share of `scenario`; returns the first failure.
pub(crate) fn first_failure(
    scenario: &'static str,
    change: impl Fn(&mut Setup),
) -> Option<Failure> {
    (1..=SHARE[0].1).find_map(|seed| {
        let mut setup = Setup::new(scenario, SHARE[0].0, seed);
        change(&mut setup);
        engine::run(setup).err()
    })
}

fn fleets(scenario: &str, [share, full]: [&[(usize, u64)]; 2]) -> Vec<(usize, u64)> {
    let number = |name: &str| {
        let value = env::var(name).ok()?;
        Some(value.parse::<u64>().expect("a number"))
    };
    if env::var("SIDESTEP_FLEET_SCENARIO").is_ok_and(|only| only != scenario) {
        return Vec::new();
    }
    if let Some(seed) = number("SIDESTEP_FLEET_SEED") {
        let nodes = number("SIDESTEP_FLEET_NODES").unwrap_or(20);
        return vec![(nodes as usize, seed)];
    }
    let is_full = env::var("SIDESTEP_FLEET").is_ok_and(|share| share == "full");
    let sizes = if is_full { full } else { share };
    let each = sizes.iter();
    each.flat_map(|(nodes, seeds)| (1..=*seeds).map(|seed| (*nodes, seed)))
        .collect()
}
