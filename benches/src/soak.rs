//! Full load for a long time with a checker: whether answers stay right while entries expire and are
//! evicted, and whether memory stays within its bounds.
//!
//! ```text
//! clients ─→ sidestep ─→ upstream ─→ given: what was said when, to whom
//!    └──────→ judge ←──────────────────┘
//! ```
#![expect(clippy::disallowed_methods, reason = "a shell: reads the clock")]
#![expect(clippy::print_stdout, reason = "what the command is for")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

use episode::{Episode, Outcome};
use upstream::Book;

mod clients;
mod episode;
mod given;
mod judge;
mod upstream;
mod version;

const EPISODE_S: std::ops::RangeInclusive<u64> = 20..=40;

/// How long, and with what chance.
#[derive(Debug, clap::Args)]
pub(crate) struct Soak {
    /// For so long
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    minutes: u64,
    /// Of the configurations and the questions [default: random]
    #[arg(long)]
    seed: Option<u64>,
}

impl Soak {
    /// Runs episodes until the time is over.
    ///
    /// # Errors
    /// At the first wrong answer, and when too many questions were lost or memory grew.
    pub(crate) fn run(&self) -> Result<()> {
        let seed = self.seed.unwrap_or_else(rand::random);
        println!("seed {seed}");
        let mut random = SmallRng::seed_from_u64(seed);
        let book = Book::new();
        let upstream = upstream::start(&book, random.next_u64())?;
        let ends = Instant::now() + Duration::from_secs(self.minutes * 60);
        let (mut sum, mut episodes) = (Outcome::default(), 0);
        loop {
            let left = ends.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            episodes += 1;
            let drawn = Duration::from_secs(random.random_range(EPISODE_S));
            // What is left for one more would be too short.
            let is_last = left < drawn + Duration::from_secs(*EPISODE_S.start());
            let time = if is_last { left } else { drawn };
            let episode = Episode::draw(random.next_u64());
            println!("episode {episodes}, {} s: {episode:?}", time.as_secs());
            let what = || format!("seed {seed}, episode {episodes}: {episode:?}");
            let outcome = episode.run(&book, upstream, time).with_context(what)?;
            print("", &outcome);
            outcome.check().with_context(what)?;
            sum.add(&outcome);
            if is_last {
                break;
            }
        }
        print(&format!("{episodes} episodes: "), &sum);
        Ok(())
    }
}

fn print(what: &str, outcome: &Outcome) {
    let Outcome {
        questions,
        checked,
        stale,
        failures,
        truncated,
        lost,
        hits,
        misses,
        evictions,
        beyond_cache,
        growth,
    } = outcome;
    println!(
        "{what}{questions} questions, {checked} answers checked ({stale} stale, {failures} SERVFAIL, \
         {truncated} truncated), {hits} hits, {misses} misses, {evictions} evictions, {lost} lost, \
         0 wrong; {} KiB resident beyond the cache's size, {} KiB grown in the second half beyond \
         the cache's growth",
        beyond_cache / 1024,
        growth / 1024
    );
}
