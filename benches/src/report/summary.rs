//! From rounds to medians and ratios.
//!
//! A ratio is taken within each round and only then is the median taken: what slows the machine
//! for a while slows both sides of it.

use serde::Serialize;

use super::results::{Results, Round, Turn};
use super::statistics::Spread;
use crate::scenario::{Load, SCENARIOS, Scenario};

/// Bounds on what dnsdist's hits cost against the bare loop: a run outside is taken to have measured
/// its machine.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = 1.1..=1.5;
const PRODUCT: &str = "sidestep";

/// What the rounds come to.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) validity: Validity,
    pub(crate) loads: Vec<OfLoad>,
}

/// Whether the figures mean anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Validity {
    Valid,
    /// What it is checked with was not measured.
    Unchecked,
    Invalid(String),
}

/// One scenario.
#[derive(Debug, Serialize)]
pub(crate) struct OfLoad {
    pub(crate) name: String,
    pub(crate) lines: Vec<Line>,
}

/// One entrant in a scenario.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) entrant: String,
    pub(crate) cpu_us: Spread,
    /// Its CPU per query ÷ the limit's; of a full cache ÷ its own with room.
    pub(crate) ratio: Option<Spread>,
    /// Sidestep's CPU per query ÷ this one's.
    pub(crate) sidestep: Option<Spread>,
    pub(crate) qps: Spread,
    pub(crate) p50_us: Spread,
    pub(crate) p99_us: Spread,
    pub(crate) p999_us: Spread,
    /// Of all rounds.
    pub(crate) lost: u64,
}

impl Summary {
    pub(crate) fn of(results: &Results) -> Self {
        let loads = SCENARIOS.iter().filter_map(|scenario| match scenario {
            Scenario::Load(load) => of_load(load, results.loads.get(load.name)?),
            _ => None,
        });
        let mut summary = Self {
            validity: Validity::Unchecked,
            loads: loads.collect(),
        };
        if let Some(ratio) = summary
            .line("udp-hit", "dnsdist")
            .and_then(|line| line.ratio)
        {
            summary.validity = validity(ratio.median);
        }
        summary
    }

    pub(crate) fn load(&self, name: &str) -> Option<&OfLoad> {
        self.loads.iter().find(|load| load.name == name)
    }

    pub(crate) fn line(&self, load: &str, entrant: &str) -> Option<&Line> {
        let mut lines = self.load(load)?.lines.iter();
        lines.find(|line| line.entrant == entrant)
    }
}

fn validity(ratio: f64) -> Validity {
    if PLAUSIBLE.contains(&ratio) {
        return Validity::Valid;
    }
    Validity::Invalid(format!(
        "dnsdist's udp-hit cost {ratio:.2} times the bare loop's, which is not within {} and {}",
        PLAUSIBLE.start(),
        PLAUSIBLE.end()
    ))
}

/// The name of a subject's entrant whose cache is full.
pub(crate) fn full(subject: &str) -> String {
    format!("{subject} (full)")
}

fn of_load(load: &Load, rounds: &[Round]) -> Option<OfLoad> {
    let names = rounds.first()?.keys();
    let lines = names.filter_map(|entrant| line(load, rounds, entrant));
    let mut lines: Vec<Line> = lines.collect();
    lines.sort_by(|a, b| a.cpu_us.median.total_cmp(&b.cpu_us.median));
    Some(OfLoad {
        name: load.name.to_owned(),
        lines,
    })
}

fn line(load: &Load, rounds: &[Round], entrant: &str) -> Option<Line> {
    let turns = || rounds.iter().filter_map(|round| round.get(entrant));
    let over = |figure: fn(&Turn) -> f64| Spread::of(turns().map(figure));
    let against = |base: &dyn Fn(&Round) -> Option<f64>| {
        let ratios = rounds.iter();
        Spread::of(ratios.filter_map(|round| Some(round.get(entrant)?.cpu_us() / base(round)?)))
    };
    let is_full = entrant.ends_with("(full)");
    let product = if is_full {
        full(PRODUCT)
    } else {
        PRODUCT.to_owned()
    };
    let ratios = rounds.iter().filter_map(|round| {
        let own = round.get(entrant)?.cpu_us();
        (own > 0.0).then_some(round.get(&product)?.cpu_us() / own)
    });
    Some(Line {
        entrant: entrant.to_owned(),
        cpu_us: over(Turn::cpu_us)?,
        ratio: if load.full {
            let own = entrant.strip_suffix(" (full)");
            own.and_then(|own| against(&|round| Some(round.get(own)?.cpu_us())))
        } else {
            against(&|round| limit_us(load, round))
        },
        sidestep: Spread::of(ratios).filter(|_| entrant != product),
        qps: over(Turn::qps)?,
        p50_us: over(|turn| turn.p50_us)?,
        p99_us: over(|turn| turn.p99_us)?,
        p999_us: over(|turn| turn.p999_us)?,
        lost: turns().map(|turn| turn.lost).sum(),
    })
}

/// What the bare loops need in this round for the same questions.
fn limit_us(load: &Load, round: &Round) -> Option<f64> {
    let of =
        |(name, share): &(&str, u8)| Some(round.get(*name)?.cpu_us() * f64::from(*share) / 100.0);
    let parts: Option<Vec<f64>> = load.limits.iter().map(of).collect();
    let sum = parts?.iter().sum();
    (sum > 0.0).then_some(sum)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::report) fn turn(cpu_us: f64) -> Turn {
        Turn {
            sent: 1000,
            answered: 1000,
            elapsed_s: 0.5,
            cpu_s: cpu_us / 1000.0,
            p99_us: 100.0 * cpu_us,
            ..Turn::default()
        }
    }

    pub(in crate::report) fn rounds(all: &[&[(&str, f64)]]) -> Vec<Round> {
        let round = |turns: &&[(&str, f64)]| {
            let entry = |(name, cpu_us): &(&str, f64)| ((*name).to_owned(), turn(*cpu_us));
            turns.iter().map(entry).collect()
        };
        all.iter().map(round).collect()
    }

    fn results(name: &str, all: &[&[(&str, f64)]]) -> Results {
        let mut results = Results::default();
        results.loads.insert(name.to_owned(), rounds(all));
        results
    }

    /// The machine is twice as slow in the second round, which changes no ratio.
    #[test]
    fn ratios_are_taken_within_a_round() {
        let summary = Summary::of(&results(
            "udp-hit",
            &[
                &[("limit-udp", 3.0), ("dnsdist", 3.9), ("sidestep", 3.3)],
                &[("limit-udp", 6.0), ("dnsdist", 7.8), ("sidestep", 6.6)],
                &[("limit-udp", 3.0), ("dnsdist", 3.6), ("sidestep", 3.6)],
            ],
        ));
        let ratio = summary.line("udp-hit", "sidestep").unwrap().ratio.unwrap();
        assert!((ratio.median - 1.1).abs() < 1e-9 && (ratio.max - 1.2).abs() < 1e-9);
        let dnsdist = summary.line("udp-hit", "dnsdist").unwrap();
        assert!((dnsdist.sidestep.unwrap().median - 3.3 / 3.9).abs() < 1e-9);
        assert!((dnsdist.qps.median - 2000.0).abs() < 1e-9);
        assert_eq!(summary.validity, Validity::Valid);
    }

    #[test]
    fn a_run_is_invalid_when_dnsdist_costs_what_it_never_does() {
        for (dnsdist_us, valid) in [(3.29, false), (3.31, true), (4.5, true), (4.51, false)] {
            let turns: &[_] = &[("limit-udp", 3.0), ("dnsdist", dnsdist_us)];
            let summary = Summary::of(&results("udp-hit", &[turns]));
            assert_eq!(summary.validity == Validity::Valid, valid, "{dnsdist_us}");
        }
        let summary = Summary::of(&results("udp-hit", &[&[("sidestep", 3.0)]]));
        assert_eq!(summary.validity, Validity::Unchecked);
    }

    #[test]
    fn a_mix_is_held_against_both_limits_and_a_full_cache_against_the_same_with_room() {
        let mix: &[_] = &[("limit-udp", 3.0), ("limit-relay", 7.0), ("sidestep", 5.1)];
        let summary = Summary::of(&results("mix", &[mix]));
        let ratio = summary.line("mix", "sidestep").unwrap().ratio.unwrap();
        assert!((ratio.median - 1.5).abs() < 1e-9, "5.1 ÷ (2.7 + 0.7)");
        let both: &[_] = &[("unbound", 4.0), ("unbound (full)", 5.0)];
        let summary = Summary::of(&results("miss-full", &[both]));
        let ratio = summary.line("miss-full", "unbound (full)").unwrap().ratio;
        assert!((ratio.unwrap().median - 1.25).abs() < 1e-9);
        assert!(
            summary
                .line("miss-full", "unbound")
                .unwrap()
                .ratio
                .is_none()
        );
    }
}
