//! Readers and writers at the same time: every answer that is read is one that was written.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;

const NAMES: u32 = 3000;
const WRITES: u32 = 60_000;

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
            cache.note_failure(&name(number), ExtendedError(22), now);
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

#[test]
fn what_is_read_while_others_write_is_whole() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    for size in [100_000_u64, 1 << 20, 4 << 20] {
        let cache = cache(size, true);
        let (stop, highest) = (AtomicBool::new(false), AtomicU64::new(0));
        let found: u64 = thread::scope(|scope| {
            let readers: Vec<_> = (0..2)
                .map(|reader| {
                    scope.spawn({
                        let (cache, stop) = (&cache, &stop);
                        move || read(cache, seed ^ reader, stop)
                    })
                })
                .collect();
            let writers: Vec<_> = (2..4)
                .map(|writer| {
                    scope.spawn({
                        let (cache, highest) = (&cache, &highest);
                        move || write(cache, seed ^ writer, highest)
                    })
                })
                .collect();
            let written: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            stop.store(true, Ordering::Relaxed);
            assert!(written.iter().all(Result::is_ok), "seed {seed}");
            let found = readers.into_iter().map(|reader| reader.join());
            found.map(|found| found.expect("a reader's finding")).sum()
        });
        assert!(found > 1000, "{found} of {size}");
        assert!(highest.into_inner() <= size);
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
