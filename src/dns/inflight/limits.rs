//! How much one worker may have under way, and how that is shared out.
//!
//! Two rules hold for places of questions, and again for waiters:
//! - **Zones**: half of all is set apart, the same for each forward zone; the other half is for whoever
//!   comes first. A zone whose upstreams are dead or slow fills its own share and the common half, and
//!   every other zone still has its share. A zone alone has everything.
//! - **Client prefixes**: a prefix gets no more once it has [`GENEROSITY`] times what is still free.
//!   One alone gets eight ninths, several that flood leave each other less and less, and whoever comes
//!   late finds something free. No list of prefixes is needed: they are counted in buckets by a keyed
//!   hash, and two that share a bucket share a limit.

use std::num::NonZeroUsize;
use std::time::Duration;

/// A client prefix gets no more once it has so many times what is free.
pub const GENEROSITY: usize = 8;
/// Buckets that prefixes are counted in.
pub(super) const BUCKETS: usize = 512;
/// Of a node: different questions under way, waiters, TCP connections to upstreams.
const NODE: [usize; 3] = [16_384, 65_536, 256];
/// Of a worker, however many there are.
const WORKER_MIN: [usize; 3] = [1024, 4096, 16];
/// A worker alone.
const WORKER_MAX: [usize; 3] = [4096, 16_384, 64];

/// Bounds of one worker's forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Different questions under way. Default 4096.
    pub questions: usize,
    /// Waiters for all of them together. Default 16384.
    pub waiters: usize,
    /// TCP connections to upstreams at a time. Default 64.
    pub tcp: usize,
    /// Questions at the upstreams of one zone at a time, at first: it is then found out how many they
    /// can take. Default 256.
    pub window: usize,
    /// From a question to its outcome. Default 2 s: less than any client's own timer (5 s in
    /// glibc, 3 s in `nslookup`'s first try), so that it hears from us and not from its timer.
    pub deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let [questions, waiters, tcp] = WORKER_MAX;
        Self {
            questions,
            waiters,
            tcp,
            window: 256,
            deadline: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// The share of one of `workers` in what a node may have: 16,384 questions, 65,536 waiters and 256
    /// TCP connections together, but never less than 1024, 4096 and 16 each, nor more than the default.
    #[must_use]
    pub fn for_one_of(workers: NonZeroUsize) -> Self {
        let share = |which: usize| {
            (NODE[which] / workers.get()).clamp(WORKER_MIN[which], WORKER_MAX[which])
        };
        Self {
            questions: share(0),
            waiters: share(1),
            tcp: share(2),
            ..Self::default()
        }
    }

    /// Waiters for one question: a sixteenth of all, so that one popular name whose answer is late
    /// leaves room for others. Default 1024.
    #[must_use]
    pub fn waiters_each(&self) -> usize {
        (self.waiters / 16).max(self.waiters.min(256))
    }

    /// Questions begun on behalf of other nodes of the service: a fifth.
    #[must_use]
    pub fn questions_of_siblings(&self) -> usize {
        (self.questions / 5).max(1)
    }

    /// How many questions of one client prefix may wait until its zone's upstreams can take them: half
    /// of all, for a burst of one prefix is no flood as long as it does not last. Default 2048.
    #[must_use]
    pub fn queued_each(&self) -> usize {
        (self.questions / 2).max(1)
    }
}

/// What there is of one thing, and who has how much of it.
#[derive(Debug)]
pub(super) struct Room {
    max: usize,
    used: usize,
    /// By position of the zone.
    zones: Box<[usize]>,
    /// Set apart for each zone.
    reserve: usize,
    common_max: usize,
    common_used: usize,
    prefixes: Box<[usize]>,
}

/// Who takes some of it: the position of a zone and the bucket of a prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Party {
    pub(super) zone: usize,
    pub(super) bucket: usize,
}

impl Room {
    /// Room for `max`, or for two of each zone where that is more.
    pub(super) fn new(max: usize, zones: usize) -> Self {
        let zones = zones.max(1);
        let max = max.max(2 * zones);
        let reserve = max / 2 / zones;
        Self {
            max,
            used: 0,
            zones: vec![0; zones].into(),
            reserve,
            common_max: max - reserve * zones,
            common_used: 0,
            prefixes: vec![0; BUCKETS].into(),
        }
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn has_room(&self, party: Party) -> bool {
        let free = self.max - self.used;
        let zone_has = self.zones[party.zone] < self.reserve || self.common_used < self.common_max;
        zone_has && self.prefixes[party.bucket] < free.saturating_mul(GENEROSITY)
    }

    /// To be called when there is room.
    pub(super) fn take(&mut self, party: Party) {
        self.used += 1;
        self.prefixes[party.bucket] += 1;
        let of_zone = &mut self.zones[party.zone];
        *of_zone += 1;
        if *of_zone > self.reserve {
            self.common_used += 1;
        }
    }

    pub(super) fn give_back(&mut self, party: Party) {
        self.used -= 1;
        self.prefixes[party.bucket] -= 1;
        let of_zone = &mut self.zones[party.zone];
        if *of_zone > self.reserve {
            self.common_used -= 1;
        }
        *of_zone -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes as many as are given; how many that was.
    fn fill(room: &mut Room, party: Party) -> usize {
        let before = room.used();
        while room.has_room(party) {
            room.take(party);
        }
        room.used() - before
    }

    #[test]
    fn a_zone_that_takes_all_it_gets_leaves_every_other_its_share() {
        let mut room = Room::new(1000, 4);
        // Of many prefixes.
        let mut taken = 0;
        for bucket in 0..BUCKETS {
            taken += fill(&mut room, Party { zone: 0, bucket });
        }
        assert_eq!(taken, 125 + 500);
        for zone in 1..4 {
            let bucket = 100 + zone;
            let mut taken = 0;
            while taken < 125 && room.has_room(Party { zone, bucket }) {
                room.take(Party { zone, bucket });
                taken += 1;
            }
            assert!(taken >= 110, "zone {zone} has {taken}");
        }
        for _ in 0..125 {
            room.give_back(Party { zone: 0, bucket: 0 });
        }
        assert!(room.has_room(Party { zone: 0, bucket: 7 }));
    }

    #[test]
    fn a_prefix_alone_gets_eight_ninths_and_the_next_one_finds_room() {
        let mut room = Room::new(900, 1);
        let party = |bucket| Party { zone: 0, bucket };
        assert_eq!(fill(&mut room, party(1)), 800);
        assert_eq!(fill(&mut room, party(2)), 89);
        assert!(room.has_room(party(3)));
    }

    #[test]
    fn small_rooms_are_used_to_the_last() {
        for (max, zones) in [(2, 1), (3, 1), (4, 2)] {
            let mut room = Room::new(max, zones);
            let taken: usize = (0..zones)
                .map(|zone| fill(&mut room, Party { zone, bucket: 0 }))
                .sum();
            assert_eq!(taken, max);
        }
        let mut crowded = Room::new(1, 10);
        for zone in 0..10 {
            assert!(fill(&mut crowded, Party { zone, bucket: zone }) >= 1);
        }
    }

    #[test]
    fn workers_share_what_a_node_may_have() {
        let of = |workers| Limits::for_one_of(NonZeroUsize::new(workers).unwrap());
        assert_eq!(of(1), Limits::default());
        assert_eq!(of(4), Limits::default());
        assert_eq!(
            (of(8).questions, of(8).waiters, of(8).tcp),
            (2048, 8192, 32)
        );
        assert_eq!(of(16).questions, of(100).questions);
        assert_eq!(Limits::default().waiters_each(), 1024);
        assert_eq!(Limits::default().queued_each(), 2048);
    }
}
