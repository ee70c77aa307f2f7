//! What stays and what goes when there is not enough room.

use super::*;
use crate::dns::cache::plan::Plan;

fn name(number: u32) -> Vec<u8> {
    let mut name = vec![7];
    name.extend_from_slice(format!("{number:07}").as_bytes());
    name.push(0);
    name
}

fn put(cache: &Cache, number: u32, octets: usize) {
    let records = vec![0xA5; octets];
    let cleaned = cleaned(Rcode::NOERROR, 1000 * SECOND, &records);
    cache.insert(&key(&name(number)), &cleaned, began());
}

fn has(cache: &Cache, number: u32) -> bool {
    kind(cache, &key(&name(number)), began()) == "fresh"
}

fn count(cache: &Cache, numbers: impl Iterator<Item = u32>) -> usize {
    numbers.filter(|&number| has(cache, number)).count()
}

#[test]
fn the_octets_in_use_never_exceed_the_configured_size() {
    for size in [0, 1000, 65_535, 65_536, 200_000, 3 << 20, (4 << 20) + 777] {
        let cache = cache(size, true);
        for number in 0..40_000 {
            put(&cache, number, 40 + usize::try_from(number % 500).unwrap());
            assert!(cache.octets() <= size, "{} of {size}", cache.octets());
        }
        if size > 65_536 {
            assert!(
                cache.octets() > size / 100 * 85,
                "{} of {size}",
                cache.octets()
            );
            assert!(
                cache.entries() > size / 500,
                "{} in {size}",
                cache.entries()
            );
        }
    }
}

#[test]
fn all_that_was_planned_fits_into_the_configured_size() {
    for size in (0..200).map(|step| 60_000 + step * step * step * 997) {
        let Some(plan) = Plan::new(size) else {
            assert!(size < 65_536);
            continue;
        };
        let each = plan.words() * 8 + plan.buckets * 64 + plan.ghosts * 2;
        let planned = plan.fixed_octets + (each << plan.shards_log2);
        let planned = u64::try_from(planned).unwrap();
        assert!(planned <= size);
        assert!(
            planned + (5000 << plan.shards_log2) > size,
            "{planned} of {size}"
        );
        assert!(plan.entry_max() + plan.gap < plan.main && plan.small_entry_max() < plan.small);
    }
}

#[test]
fn nothing_is_dropped_while_there_is_room() {
    let cache = cache(32 << 20, true);
    for number in 0..300_000 {
        put(&cache, number, 16);
    }
    assert_eq!(cache.entries(), 300_000);
    assert_eq!(cache.evictions(), Evictions::default());
    assert_eq!(count(&cache, 0..300_000), 300_000);
}

/// Names that are asked for once do not push out those that are asked for again and again.
#[test]
fn a_hot_set_survives_a_scan_of_ten_times_the_capacity() {
    let cache = cache(2 << 20, true);
    let hot = 0..5_000;
    for round in 0..3 {
        for number in hot.clone() {
            if !has(&cache, number) {
                put(&cache, number, 16);
            }
            put(&cache, 1_000_000 + round * 5_000 + number, 16);
        }
    }
    assert!(cache.evictions().small == 0, "{:?}", cache.evictions());
    for number in 0..300_000 {
        put(&cache, 2_000_000 + number, 16);
    }
    assert!(cache.evictions().small > 250_000, "{:?}", cache.evictions());
    let kept = count(&cache, hot);
    assert!(kept > 4_950, "{kept} of 5000");
}

/// What is new and asked for becomes old and kept, though the cache is full of what nobody asks for.
#[test]
fn a_new_hot_set_finds_its_way_into_a_full_cache() {
    let cache = cache(2 << 20, true);
    for number in 0..40_000 {
        put(&cache, 1_000_000 + number, 16);
    }
    let hot = 0..5_000;
    for round in 0..20 {
        for number in hot.clone() {
            if !has(&cache, number) {
                put(&cache, number, 16);
            }
            put(&cache, 2_000_000 + round * 5_000 + number, 16);
        }
    }
    let kept = count(&cache, hot);
    assert!(kept > 4_950, "{kept} of 5000");
}

/// A name that comes back soon after it was dropped is kept for longer.
#[test]
fn what_comes_back_is_remembered() {
    let cache = cache(1 << 20, true);
    for number in 0..40_000 {
        put(&cache, 1_000_000 + number, 16);
    }
    let back = 0..1_000;
    let main = cache.evictions().main;
    for _ in 0..2 {
        for number in back.clone() {
            put(&cache, number, 16);
        }
        for number in 0..3_000 {
            put(&cache, 2_000_000 + number, 16);
        }
    }
    assert!(cache.evictions().main > main);
    let kept = count(&cache, back);
    assert!(kept > 900, "{kept} of 1000");
}

#[test]
fn expired_entries_make_room_before_others() {
    let cache = cache(1 << 20, false);
    let (now, records) = (began(), [0; 16]);
    for number in 0..100_000 {
        let cleaned = cleaned(Rcode::NOERROR, SECOND, &records);
        let now = now + Duration::from_millis(u64::from(number));
        cache.insert(&key(&name(number)), &cleaned, now);
    }
    assert_eq!(cache.evictions(), Evictions::default());
}

#[test]
fn replacing_the_same_entries_for_ever_takes_no_more_than_they_need() {
    let cache = cache(1 << 20, true);
    for step in 0_u32..200_000 {
        let octets = usize::try_from(step.wrapping_mul(2_654_435_761) % 600).unwrap();
        put(&cache, step % 100, octets);
        assert!(cache.entries() <= 100);
        assert!(cache.octets() <= 1 << 20);
    }
    assert_eq!(count(&cache, 0..100), 100);
    assert_eq!(cache.evictions(), Evictions::default());
}

/// The smallest entries there are need more slots than the index has.
#[test]
fn a_full_index_makes_room_too() {
    let cache = cache(1 << 20, true);
    for number in 0..60_000_u32 {
        fail(&cache, &key(&name(number)), began());
        assert!(cache.octets() <= 1 << 20);
    }
    assert!(cache.evictions().index > 0, "{:?}", cache.evictions());
    assert!(cache.entries() > 13_000, "{}", cache.entries());
}
