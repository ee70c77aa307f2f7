//! The cache alone, without sockets: time per look-up and insert, memory per entry.
//!
//! Times are those of each thread's own processor clock, medians of interleaved rounds. The time of
//! making the key is measured apart and taken off. Names are asked for as Zipf's law has it (s = 1).

#![expect(
    clippy::disallowed_methods,
    reason = "creation is too short for a processor clock"
)]

use std::hint::black_box;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use sidestep::dns::cache::clean::{Cleaned, clean};
use sidestep::dns::cache::{Cache, Lookup, Scratch};
use sidestep::dns::key::Key;
use sidestep::dns::{CacheSettings, StaleSettings};

use crate::names::{self, Kind};

const PAGE_OCTETS: u64 = 4096;
/// Names that are made ready before their inserts are timed.
const BATCH: u32 = 4096;
/// Look-ups of one thread in one round.
const LOOKUPS: usize = 1 << 20;

/// What is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Lookups {
    /// Size of the cache in MiB.
    #[arg(long, default_value_t = 256)]
    size_mib: u64,
    /// Names in the cache while it is not full.
    #[arg(long, default_value_t = 1_000_000)]
    names: u32,
    /// Rounds of look-ups, one of them thrown away.
    #[arg(long, default_value_t = 8)]
    rounds: usize,
}

/// Medians, in nanoseconds of processor time where nothing else is said.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Names that were inserted before the look-ups; every one of them was found.
    pub names: u32,
    /// From nothing to an empty cache, elapsed.
    pub creation_us: f64,
    /// Growth of resident memory by the names, per name.
    pub resident_octets_per_entry: f64,
    /// What the cache says of itself, per name.
    pub reported_octets_per_entry: f64,
    /// Making a key; taken off below.
    pub key_ns: f64,
    /// One look-up that finds an answer, one thread.
    pub hit_ns: f64,
    /// The same while a second thread does so on another core.
    pub hit_two_threads_ns: f64,
    /// The median of the rounds' ratios of two threads to one.
    pub two_to_one: f64,
    /// Those ratios.
    pub two_to_one_rounds: Vec<f64>,
    /// The same look-up in a full cache that has evicted.
    pub hit_full_ns: f64,
    /// One insert into the cache that is not full.
    pub insert_ns: f64,
    /// One insert into the cache that is full, so that others have to go.
    pub insert_full_ns: f64,
    /// Entries of the full cache.
    pub full_entries: u64,
    /// Growth of resident memory from empty to full, MiB.
    pub full_resident_mib: f64,
    /// What the full cache says of itself, MiB.
    pub full_reported_mib: f64,
    /// Entries that had to go for want of a slot in the index.
    pub index_evictions: u64,
}

impl Lookups {
    /// Measures and prints.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let figures = self.measure()?;
        #[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
        {
            println!("{}", serde_json::to_string_pretty(&figures)?);
        }
        Ok(())
    }

    /// Measures in a process of its own, which may pin its threads.
    pub(crate) fn apart() -> anyhow::Result<Figures> {
        let output = Command::new(std::env::current_exe()?)
            .arg("lookups")
            .stderr(Stdio::inherit())
            .output()?;
        anyhow::ensure!(output.status.success(), "`bench lookups` failed");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Measures on the cores 0 and 1.
    pub(crate) fn measure(&self) -> anyhow::Result<Figures> {
        pin(0)?;
        let now = Instant::now();
        let mut fill = Fill::new();
        let asked = [1, 2].map(|seed| zipf(self.names, seed));
        let empty_octets = resident_octets()?;
        let before = Instant::now();
        let cache = Cache::new(&limits(self.size_mib << 20), &stale(), now);
        let creation_us = before.elapsed().as_secs_f64() * 1e6;

        let insert_ns = fill.insert(&cache, Kind::Cached, 0..self.names, now)?;
        let names_octets = resident_octets()? - empty_octets;
        let reported = cache.octets();
        check(&cache, self.names, now)?;
        let rounds = (0..self.rounds).map(|_| round(&cache, &asked, now));
        let rounds = rounds.collect::<anyhow::Result<Vec<_>>>()?;
        let kept_rounds = rounds.get(1..).context("two rounds at least")?;
        let of = |value: fn(&Round) -> f64| median(kept_rounds.iter().map(value).collect());

        let mut next = 0;
        while cache.evictions() == Default::default() {
            fill.insert(&cache, Kind::New, next..next + BATCH, now)?;
            next += BATCH;
        }
        // Once more all round, so that everything has been in use.
        let more = u32::try_from(cache.entries())?;
        fill.insert(&cache, Kind::New, next..next + more, now)?;
        next += more;
        let insert_full_ns = fill.insert(&cache, Kind::New, next..next + self.names, now)?;
        let full_octets = resident_octets()? - empty_octets;
        let full = (0..self.rounds.div_ceil(2)).map(|_| alone(&cache, &asked[0], now));
        let hit_full_ns = median(full.collect::<anyhow::Result<_>>()?);
        Ok(Figures {
            names: self.names,
            creation_us,
            resident_octets_per_entry: names_octets as f64 / f64::from(self.names),
            reported_octets_per_entry: reported as f64 / f64::from(self.names),
            key_ns: of(|round| round.key_ns),
            hit_ns: of(|round| round.one_ns - round.key_ns),
            hit_two_threads_ns: of(|round| round.two_ns - round.key_ns),
            two_to_one: of(Round::two_to_one),
            two_to_one_rounds: kept_rounds.iter().map(Round::two_to_one).collect(),
            hit_full_ns: hit_full_ns - of(|round| round.key_ns),
            insert_ns,
            insert_full_ns,
            full_entries: cache.entries(),
            full_resident_mib: full_octets as f64 / f64::from(1 << 20),
            full_reported_mib: cache.octets() as f64 / f64::from(1 << 20),
            index_evictions: cache.evictions().index,
        })
    }
}

struct Round {
    key_ns: f64,
    one_ns: f64,
    two_ns: f64,
}

impl Round {
    fn two_to_one(&self) -> f64 {
        (self.two_ns - self.key_ns) / (self.one_ns - self.key_ns)
    }
}

fn round(cache: &Cache, asked: &[Vec<u32>; 2], now: Instant) -> anyhow::Result<Round> {
    let key_ns = timed(asked[0].len(), || {
        for &number in &asked[0] {
            black_box(key(Kind::Cached, number));
        }
        Ok(())
    })?;
    let one_ns = alone(cache, &asked[0], now)?;
    let barrier = Barrier::new(2);
    let together = thread::scope(|scope| {
        let threads = [0, 1].map(|core: usize| {
            let (asked, barrier) = (&asked[core], &barrier);
            scope.spawn(move || {
                pin(core)?;
                barrier.wait();
                alone(cache, asked, now)
            })
        });
        threads.map(|thread| {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a reader failed"))
        })
    });
    let mut sum_ns = 0.0;
    for thread in together {
        sum_ns += thread??;
    }
    Ok(Round {
        key_ns,
        one_ns,
        two_ns: sum_ns / 2.0,
    })
}

/// Nanoseconds per key and look-up.
fn alone(cache: &Cache, asked: &[u32], now: Instant) -> anyhow::Result<f64> {
    let mut scratch = Scratch::new();
    timed(asked.len(), || {
        for &number in asked {
            let found = cache.lookup(&key(Kind::Cached, number), now, &mut scratch);
            black_box(&found);
        }
        Ok(())
    })
}

/// Nanoseconds of this thread's processor time for one of `count`.
fn timed(count: usize, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let before = thread_time()?;
    work()?;
    Ok((thread_time()? - before).as_nanos() as f64 / count as f64)
}

fn thread_time() -> anyhow::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

fn pin(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &cores).context("two cores are needed")
}

/// Inserts names; what it needs for that is made once, so that it is no part of the growth.
struct Fill {
    keys: Vec<Key>,
    messages: Vec<Vec<u8>>,
}

impl Fill {
    fn new() -> Self {
        let number = usize::try_from(BATCH).unwrap_or_default();
        Self {
            keys: vec![key(Kind::Cached, 0); number],
            messages: vec![Vec::with_capacity(128); number],
        }
    }

    /// Returns the nanoseconds of an insert, without making and cleaning its message.
    fn insert(
        &mut self,
        cache: &Cache,
        kind: Kind,
        numbers: std::ops::Range<u32>,
        now: Instant,
    ) -> anyhow::Result<f64> {
        let (start, end) = (numbers.start, numbers.end);
        let mut total_ns = 0.0;
        for first in numbers.step_by(usize::try_from(BATCH)?) {
            let batch = first..end.min(first + BATCH);
            let places = self.keys.iter_mut().zip(&mut self.messages);
            for (number, (place, message)) in batch.clone().zip(places) {
                *place = key(kind, number);
                respond(kind, number, message);
            }
            let limits = cache.limits();
            let ready = self.keys.iter().zip(&mut self.messages).take(batch.len());
            let ready = ready.map(|(key, message)| Ok((key, clean(key, message, limits)?)));
            let ready = ready.collect::<anyhow::Result<Vec<(&Key, Cleaned<'_>)>>>()?;
            total_ns += timed(1, || {
                for (key, cleaned) in &ready {
                    cache.insert(key, cleaned, now);
                }
                Ok(())
            })?;
        }
        Ok(total_ns / f64::from(end - start))
    }
}

fn key(kind: Kind, number: u32) -> Key {
    let name = names::name(kind, number);
    // The name has 24 octets: there is always a key.
    Key::new(&name, 1, 1, false, false).unwrap_or_else(|| unreachable!())
}

/// Writes what an upstream says to the question for a name.
fn respond(kind: Kind, number: u32, message: &mut Vec<u8>) {
    message.clear();
    message.extend_from_slice(&names::query(0, kind, number));
    message[2..4].copy_from_slice(&[0x81, 0x80]);
    message[7] = 1;
    let address = names::address(&message[12..]).unwrap_or_default();
    message.extend_from_slice(&names::record(address));
}

/// Whether every name is answered with its own address.
fn check(cache: &Cache, names: u32, now: Instant) -> anyhow::Result<()> {
    let mut scratch = Scratch::new();
    let mut expected = Vec::new();
    for number in 0..names {
        let found = cache.lookup(&key(Kind::Cached, number), now, &mut scratch);
        let Lookup::Fresh(entry) = found else {
            anyhow::bail!("name {number} is gone");
        };
        let records = entry
            .fresh_answer(now)
            .sections
            .map(|found| found.records());
        respond(Kind::Cached, number, &mut expected);
        anyhow::ensure!(records == expected.get(names::QUERY_OCTETS..), "{number}");
    }
    Ok(())
}

/// Numbers below `names`, the nth most frequent one n times rarer than the most frequent one.
fn zipf(names: u32, seed: u64) -> Vec<u32> {
    /// Has no divisor in common with a million: neighbours in rank are no neighbours in the cache.
    const STEP: u64 = 7919;
    let mut random = SmallRng::seed_from_u64(seed);
    let number = |_| {
        let rank = f64::from(names).powf(random.random::<f64>()) as u64;
        (rank * STEP % u64::from(names)) as u32
    };
    (0..LOOKUPS).map(number).collect()
}

fn resident_octets() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages = text.split(' ').nth(1).context("resident pages")?;
    Ok(pages.parse::<u64>()? * PAGE_OCTETS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn limits(size_bytes: u64) -> CacheSettings {
    CacheSettings {
        size_bytes,
        min_ttl: Duration::ZERO,
        max_ttl: Duration::from_secs(86_400),
        max_negative_ttl: Duration::from_secs(3600),
    }
}

fn stale() -> StaleSettings {
    StaleSettings {
        enabled: true,
        client_timeout: Duration::from_millis(1800),
        reply_ttl: Duration::from_secs(30),
        max_age: Duration::from_secs(86_400),
    }
}
