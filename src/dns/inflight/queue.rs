//! Questions that wait until the upstreams of their zone can take them: prefixes take turns.
//!
//! Source: RFC 970 (fair queueing: a queue for each source, served in turn).
//! The policy when it is full: a prefix that has its part of it gets no more (the newest is refused at
//! once), and nobody is pushed out for another. Who waits too long is dropped by the owner. Queues exist
//! while something is in them; their storage is used again and again.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};

use super::super::client::Prefix;

/// All queues of one worker.
#[derive(Debug)]
pub(super) struct FairQueue {
    /// Of one prefix and zone each.
    flows: Vec<Flow>,
    vacant: Vec<usize>,
    by_name: HashMap<(usize, Prefix), usize, RandomState>,
    /// By zone: the flows that have something, in the order of their turns.
    turns: Box<[VecDeque<usize>]>,
    each_max: usize,
    len: usize,
}

#[derive(Debug)]
struct Flow {
    name: (usize, Prefix),
    /// In the order in which they came.
    places: VecDeque<usize>,
}

impl FairQueue {
    /// Each prefix may have `each_max` in each of `zones`.
    pub(super) fn new(zones: usize, each_max: usize) -> Self {
        Self {
            flows: Vec::new(),
            vacant: Vec::new(),
            by_name: HashMap::default(),
            turns: (0..zones).map(|_| VecDeque::new()).collect(),
            each_max,
            len: 0,
        }
    }

    /// All that wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits in a zone.
    pub(super) fn is_empty(&self, zone: usize) -> bool {
        self.turns[zone].is_empty()
    }

    /// Whether one more of this prefix may wait.
    pub(super) fn has_room(&self, zone: usize, prefix: Prefix) -> bool {
        self.waiting_of(zone, prefix) < self.each_max
    }

    /// How many of this prefix wait.
    pub(super) fn waiting_of(&self, zone: usize, prefix: Prefix) -> usize {
        let flow = self.by_name.get(&(zone, prefix));
        flow.map_or(0, |&flow| self.flows[flow].places.len())
    }

    /// To be called when there is room.
    pub(super) fn push(&mut self, zone: usize, prefix: Prefix, place: usize) {
        let name = (zone, prefix);
        let flow = match self.by_name.get(&name) {
            Some(&flow) => flow,
            None => {
                let flow = self.vacant.pop().unwrap_or_else(|| {
                    let places = VecDeque::new();
                    self.flows.push(Flow { name, places });
                    self.flows.len() - 1
                });
                self.flows[flow].name = name;
                self.by_name.insert(name, flow);
                self.turns[zone].push_back(flow);
                flow
            }
        };
        self.flows[flow].places.push_back(place);
        self.len += 1;
    }

    /// The next one of a zone: the oldest of the prefix whose turn it is.
    pub(super) fn pop(&mut self, zone: usize) -> Option<usize> {
        let flow = self.turns[zone].pop_front()?;
        let place = self.flows[flow].places.pop_front();
        if self.flows[flow].places.is_empty() {
            self.close(flow);
        } else {
            self.turns[zone].push_back(flow);
        }
        self.len -= usize::from(place.is_some());
        place
    }

    /// Takes out one that waits no longer; mostly the oldest of its prefix.
    pub(super) fn remove(&mut self, zone: usize, prefix: Prefix, place: usize) {
        let Some(&flow) = self.by_name.get(&(zone, prefix)) else {
            return;
        };
        let places = &mut self.flows[flow].places;
        let Some(position) = places.iter().position(|&waiting| waiting == place) else {
            return;
        };
        places.remove(position);
        self.len -= 1;
        if places.is_empty() {
            self.turns[zone].retain(|&turn| turn != flow);
            self.close(flow);
        }
    }

    fn close(&mut self, flow: usize) {
        self.by_name.remove(&self.flows[flow].name);
        self.vacant.push(flow);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::client::PrefixLengths;
    use super::*;

    fn prefix(number: u8) -> Prefix {
        let client = std::net::Ipv4Addr::new(192, 0, number, 1).into();
        Prefix::of(client, PrefixLengths::default())
    }

    fn drain(queue: &mut FairQueue, zone: usize) -> Vec<usize> {
        std::iter::from_fn(|| queue.pop(zone)).collect()
    }

    #[test]
    fn prefixes_take_turns_however_much_each_has() {
        let mut queue = FairQueue::new(1, 10);
        for place in 0..5 {
            queue.push(0, prefix(1), place);
        }
        queue.push(0, prefix(2), 10);
        queue.push(0, prefix(3), 20);
        queue.push(0, prefix(3), 21);
        assert_eq!(drain(&mut queue, 0), [0, 10, 20, 1, 21, 2, 3, 4]);
        assert!(queue.is_empty(0));
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_prefix_has_its_part_and_no_more_in_each_zone() {
        let mut queue = FairQueue::new(2, 2);
        queue.push(0, prefix(1), 0);
        assert!(queue.has_room(0, prefix(1)));
        queue.push(0, prefix(1), 1);
        assert!(!queue.has_room(0, prefix(1)));
        assert!(queue.has_room(0, prefix(2)));
        assert!(queue.has_room(1, prefix(1)));
        queue.push(1, prefix(1), 2);
        assert_eq!(drain(&mut queue, 1), [2]);
        assert_eq!(drain(&mut queue, 0), [0, 1]);
    }

    #[test]
    fn who_leaves_is_forgotten_and_its_storage_serves_others() {
        let mut queue = FairQueue::new(1, 4);
        for round in 0..100 {
            queue.push(0, prefix(round), 1);
            queue.push(0, prefix(round), 2);
            queue.push(0, prefix(200), 3);
            queue.remove(0, prefix(round), 1);
            queue.remove(0, prefix(round), 7);
            queue.remove(0, prefix(200), 3);
            assert_eq!(queue.pop(0), Some(2));
            assert_eq!(queue.pop(0), None);
        }
        assert_eq!((queue.len(), queue.flows.len()), (0, 2));
    }
}
