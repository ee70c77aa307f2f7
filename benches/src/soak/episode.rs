//! One episode: a server with a configuration of its own, full load, its memory and its metrics.
#![expect(clippy::disallowed_methods, reason = "threads and their clock")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};
use tempfile::TempDir;

use super::clients::{Draw, Load, Tally};
use super::upstream::Book;
use crate::process::{Launch, Process, free_port, last_words, over_udp};
use crate::run::metrics;

const UDP_CLIENTS: usize = 64;
/// Threads that the UDP clients share.
const UDP_THREADS: usize = 2;
const TCP_CLIENTS: usize = 4;
/// Powers of two; Sidestep takes 1 MiB and more.
const CACHE_EXPONENTS: std::ops::Range<f64> = 20.0..24.0;
const NAMES: std::ops::RangeInclusive<f64> = 1_000.0..=200_000.0;
/// With a name for so many octets, all answers take about four times the cache: a name has two types.
const CROWDED_OCTETS: f64 = 150.0;
/// So many episodes of a hundred are crowded, for evictions are what matters.
const CROWDED_PERCENT: u32 = 75;
/// What the process may have beside its cache.
const ALLOWANCE: u64 = 40 << 20;
/// What it may grow by in the second half, beside what its cache says of itself.
const GROWTH: u64 = 4 << 20;
/// Of a thousand questions, so many may be lost.
const LOST_PERMILLE_MAX: u64 = 1;

/// What an episode is like; all of it comes from its seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Episode {
    seed: u64,
    cache_octets: u64,
    workers: u8,
    may_be_stale: bool,
    names: u32,
    draw: Draw,
}

/// What an episode counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    pub(super) questions: u64,
    pub(super) checked: u64,
    pub(super) stale: u64,
    pub(super) failures: u64,
    pub(super) truncated: u64,
    pub(super) lost: u64,
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) evictions: u64,
    /// At the end, beyond the size of the cache.
    pub(super) beyond_cache: i64,
    /// In the second half, beyond the growth of the cache.
    pub(super) growth: i64,
}

/// What the process shows at a moment, in octets.
#[derive(Clone, Copy)]
struct Memory {
    resident: u64,
    /// What the cache says that it uses.
    cache: u64,
}

struct Server {
    process: Process,
    address: SocketAddr,
    admin: SocketAddr,
    folder: TempDir,
}

impl Episode {
    pub(super) fn draw(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let cache_octets = random.random_range(CACHE_EXPONENTS).exp2();
        let least = if random.random_range(0..100) < CROWDED_PERCENT {
            cache_octets / CROWDED_OCTETS
        } else {
            *NAMES.start()
        };
        Self {
            seed,
            cache_octets: cache_octets as u64,
            workers: random.random_range(1..=2),
            may_be_stale: random.random(),
            names: random.random_range(least.ln()..NAMES.end().ln()).exp() as u32,
            draw: if random.random() {
                Draw::Zipf
            } else {
                Draw::Evenly
            },
        }
    }

    /// Runs it for so long.
    ///
    /// # Errors
    /// When the server cannot be used or an answer is wrong.
    pub(super) fn run(&self, book: &Book, upstream: SocketAddr, time: Duration) -> Result<Outcome> {
        book.log.clear();
        let server = self.start(upstream)?;
        let load = Load {
            book,
            server: server.address,
            names: self.names,
            draw: self.draw,
            may_be_stale: self.may_be_stale,
            stop: AtomicBool::new(false),
            tally: Tally::default(),
        };
        let watched = thread::scope(|scope| {
            let mut random = SmallRng::seed_from_u64(self.seed);
            let mut clients = Vec::new();
            for _ in 0..UDP_THREADS {
                let (load, seed) = (&load, random.next_u64());
                clients.push(scope.spawn(move || load.over_udp(UDP_CLIENTS / UDP_THREADS, seed)));
            }
            for _ in 0..TCP_CLIENTS {
                let (load, seed) = (&load, random.next_u64());
                clients.push(scope.spawn(move || load.over_tcp(seed)));
            }
            let watched = server.watch(&load.stop, time);
            load.stop.store(true, Ordering::Relaxed);
            let ends = clients.into_iter().map(|client| client.join());
            let ends: Result<Vec<()>> = ends
                .map(|end| end.unwrap_or_else(|_| bail!("a client panicked")))
                .collect();
            ends.and(watched)
        });
        if let Some(wrong) = load.tally.wrong() {
            bail!("a wrong answer: {wrong}");
        }
        let (middle, end) = watched.with_context(|| last_words(server.folder.path()))?;
        let outcome = self.outcome(&load.tally, &server.metrics()?, middle, end);
        Ok(outcome)
    }

    fn start(&self, upstream: SocketAddr) -> Result<Server> {
        let folder = TempDir::with_prefix("bench-soak-")?;
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (address, admin) = (at(free_port()?), at(free_port()?));
        let Self {
            cache_octets,
            workers,
            may_be_stale,
            ..
        } = self;
        let text = format!(
            "[node]\nstate = \"none\"\n\
             [dns]\nlisten = [\"{address}\"]\nworkers = {workers}\n\
             [dns.cache]\nsize = {cache_octets}\n[dns.stale]\nenabled = {may_be_stale}\n\
             [[forward]]\nzone = \".\"\nupstreams = [\"{upstream}\"]\n\
             [admin]\nlisten = \"{admin}\"\nsocket = \"none\"\n[health]\nlinger = \"0s\"\n"
        );
        let file = folder.path().join("sidestep.toml");
        fs::write(&file, text)?;
        let cores = thread::available_parallelism()?.get();
        let mut process = Process::start(Launch {
            program: std::env::current_exe()?.with_file_name("sidestep"),
            arguments: vec!["run".into(), "--config".into(), file.display().to_string()],
            folder: folder.path().to_owned(),
            cores: format!("0-{}", cores - 1),
        })?;
        let answers = process.answers(address, over_udp);
        answers.with_context(|| last_words(folder.path()))?;
        Ok(Server {
            process,
            address,
            admin,
            folder,
        })
    }

    fn outcome(&self, tally: &Tally, metrics: &str, middle: Memory, end: Memory) -> Outcome {
        let value = |name: &str| metrics::value(metrics, name).unwrap_or_default() as u64;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let evictions = ["new", "main", "index"].map(|reason| {
            value(&format!(
                "sidestep_dns_cache_evictions_total{{reason=\"{reason}\"}}"
            ))
        });
        let [stale, failures, truncated] =
            [&tally.stale, &tally.failures, &tally.truncated].map(count);
        let grown = |before: u64, after: u64| after as i64 - before as i64;
        Outcome {
            questions: count(&tally.questions),
            checked: count(&tally.fresh) + stale + failures + truncated,
            stale,
            failures,
            truncated,
            lost: count(&tally.lost),
            hits: value("sidestep_dns_cache_hits_total"),
            misses: value("sidestep_dns_cache_misses_total"),
            evictions: evictions.iter().sum(),
            beyond_cache: grown(self.cache_octets, end.resident),
            growth: grown(middle.resident, end.resident) - grown(middle.cache, end.cache).max(0),
        }
    }
}

impl Server {
    fn metrics(&self) -> Result<String> {
        metrics::fetch(self.admin)
    }

    fn memory(&self) -> Result<Memory> {
        let cache = metrics::value(&self.metrics()?, "sidestep_dns_cache_bytes");
        Ok(Memory {
            resident: self.process.memory()?.resident,
            cache: cache.context("no sidestep_dns_cache_bytes")? as u64,
        })
    }

    /// Waits until the time or the load is over; memory in the middle and at the end.
    fn watch(&self, stop: &AtomicBool, time: Duration) -> Result<(Memory, Memory)> {
        let started = Instant::now();
        let wait_until = |time| -> Result<()> {
            while started.elapsed() < time && !stop.load(Ordering::Relaxed) {
                self.process.memory()?;
                thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        };
        wait_until(time / 2)?;
        let middle = self.memory()?;
        wait_until(time)?;
        Ok((middle, self.memory()?))
    }
}

impl Outcome {
    /// # Errors
    /// When too many questions were lost, or the process takes too much memory.
    pub(super) fn check(&self) -> Result<()> {
        ensure!(
            self.lost * 1000 <= self.questions * LOST_PERMILLE_MAX,
            "too many questions were lost"
        );
        ensure!(self.checked > 0, "no answer was checked");
        ensure!(self.beyond_cache <= ALLOWANCE as i64, "too much memory");
        ensure!(self.growth <= GROWTH as i64, "memory grows");
        Ok(())
    }

    /// Counts are added; of memory the greatest stays.
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.questions, other.questions),
            (&mut self.checked, other.checked),
            (&mut self.stale, other.stale),
            (&mut self.failures, other.failures),
            (&mut self.truncated, other.truncated),
            (&mut self.lost, other.lost),
            (&mut self.hits, other.hits),
            (&mut self.misses, other.misses),
            (&mut self.evictions, other.evictions),
        ] {
            *sum += more;
        }
        self.beyond_cache = self.beyond_cache.max(other.beyond_cache);
        self.growth = self.growth.max(other.growth);
    }
}
