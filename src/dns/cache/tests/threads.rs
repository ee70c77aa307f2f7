//! Readers and writers at the same time: every answer that is read is one that was written.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;

const NAMES: u32 = 3000;
const WRITES: u32 = 20_000;

fn name(number: u32) -> Key {
    let mut name = vec![7];
    name.extend_from_slice(format!("{number:07}").as_bytes());
    name.push(0);
    key(&name)
}

/// Records of which every octet follows from the name and the first eight.
fn records(number: u32, seed: u64, octets: usize) -> Vec<u8> {
    let mut random = SmallRng::seed_from_u64(seed ^ u64::from(number) << 32);
    let mut records = seed.to_le_bytes().to_vec();
    records.extend((0..octets).map(|_| random.random::<u8>()));
    records
}

fn is_whole(number: u32, found: &[u8]) -> bool {
    let Some(seed) = found.first_chunk() else {
        return false;
    };
    found == records(number, u64::from_le_bytes(*seed), found.len() - 8)
}

fn write(cache: &Cache, seed: u64, highest: &AtomicU64) {
    let mut random = SmallRng::seed_from_u64(seed);
    for step in 0..WRITES {
        let number = random.random_range(0..NAMES);
        let octets = match random.random_range(0..100) {
            0 => random.random_range(0..20_000),
            _ => random.random_range(0..300),
        };
        let records = records(number, random.random(), octets);
        let now = began() + Duration::from_millis(u64::from(step / 20));
        let lifetime = Duration::from_secs(random.random_range(0..4));
        if step % 50 == 0 {
            fail(cache, &name(number), now);
        } else {
            cache.insert(
                &name(number),
                &cleaned(Rcode::NOERROR, lifetime, &records),
                now,
            );
        }
        highest.fetch_max(cache.octets(), Ordering::Relaxed);
    }
}

/// Returns how many answers were read.
fn read(cache: &Cache, seed: u64, stop: &AtomicBool) -> u64 {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut scratch = Scratch::new();
    let mut found = 0;
    while !stop.load(Ordering::Relaxed) {
        // Some are asked for more often than others.
        let number = random
            .random_range(0..NAMES)
            .min(random.random_range(0..NAMES));
        let entry = match cache.lookup(&name(number), began(), &mut scratch) {
            Lookup::Fresh(entry) | Lookup::Stale(entry) => entry,
            Lookup::Miss => continue,
        };
        let answer = entry.fresh_answer(began());
        let kept = answer.sections.unwrap().records();
        if entry.is_failure() {
            assert!(kept.is_empty() && answer.extended_error == Some(ExtendedError(22)));
        } else {
            assert!(is_whole(number, kept), "{number}: {} octets", kept.len());
            assert_eq!(answer.extended_error, None);
        }
        found += 1;
    }
    found
}

fn play(size: u64, readers: u64, writers: u64) {
    let seed = rand::random::<u64>();
    println!("{size} octets, seed {seed}");
    let cache = &cache(size, true);
    let (stop, highest) = (&AtomicBool::new(false), &AtomicU64::new(0));
    let found: u64 = thread::scope(|scope| {
        let readers =
            (0..readers).map(|reader| scope.spawn(move || read(cache, seed ^ reader, stop)));
        let readers: Vec<_> = readers.collect();
        let writers = (0..writers)
            .map(|writer| scope.spawn(move || write(cache, seed ^ (64 + writer), highest)));
        let writers: Vec<_> = writers.collect();
        let written: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        stop.store(true, Ordering::Relaxed);
        assert!(written.iter().all(Result::is_ok), "seed {seed}");
        let found = readers.into_iter().map(|reader| reader.join());
        found.map(|found| found.expect("a reader's finding")).sum()
    });
    assert!(found > 1000, "{found}, seed {seed}");
    assert!(highest.load(Ordering::Relaxed) <= size);
}

/// To be run with ThreadSanitizer too. Where two threads want the same lock it raises alarms unless
/// the standard library was built for it; with one writer the only alarm is the test harness's own.
///
/// ```text
/// echo race:CompletedTest > target/harness
/// TSAN_OPTIONS="suppressions=$PWD/target/harness" RUSTC_BOOTSTRAP=1 \
///   RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" \
///   cargo test --target x86_64-unknown-linux-gnu --lib while_one_writes -- --test-threads=1
/// ```
#[test]
fn what_is_read_while_one_writes_is_whole() {
    for size in [100_000, 1 << 20] {
        play(size, 3, 1);
    }
}

#[test]
fn what_is_read_while_many_write_is_whole() {
    for size in [100_000, 1 << 20, 4 << 20] {
        play(size, 2, 2);
    }
}

/// A writer that stands still for ever keeps no reader waiting.
#[test]
fn readers_do_not_wait_for_a_writer() {
    let cache = cache(1 << 20, true);
    cache.insert(&name(1), &answer(Rcode::NOERROR, SECOND), began());
    let store = cache.store.as_ref().unwrap();
    let hash = Hash::of(&cache.hasher, &name(1));
    let key = name(1);
    let _held = store.write(&Question::new(&key, hash), 0);
    assert_eq!(kind(&cache, &name(1), began()), "fresh");
    assert_eq!(kind(&cache, &name(2), began()), "miss");
}
