//! The questions under way on one socket or connection.
//!
//! Ids count up from a random start, so that an id comes again only after all others, and an
//! answer that is late meets its own question or none.

use super::{Tally, check};

/// What has not come after so long is lost, in ns.
const LOST_NS: u64 = 1_000_000_000;
/// First octet of the addresses of new names.
const NEW: u8 = 11;

#[derive(Clone, Copy, Default)]
struct Slot {
    /// When it was asked or should have been, in ns of the run.
    due_ns: u64,
    serial: u32,
    /// The right answer; of a free slot, zeros.
    address: [u8; 4],
}

/// A table of questions under way, by id.
pub(super) struct Flight {
    slots: Box<[Slot]>,
    /// The low 16 bits are the id of the next question.
    next: u32,
    /// No question under way has a serial before this one.
    oldest: u32,
    under_way: usize,
}

/// What came of all questions of a run.
#[derive(Default)]
pub(super) struct Tallies {
    pub(super) cached: Tally,
    pub(super) new: Tally,
}

impl Tallies {
    fn of(&mut self, address: [u8; 4]) -> &mut Tally {
        if address[0] == NEW {
            &mut self.new
        } else {
            &mut self.cached
        }
    }
}

impl Flight {
    /// Room for so many questions at once, a power of two up to 65,536.
    pub(super) fn new(room: usize, first: u32) -> Self {
        let room = room.next_power_of_two().min(1 << 16);
        Self {
            slots: vec![Slot::default(); room].into(),
            next: first,
            oldest: first,
            under_way: 0,
        }
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    pub(super) fn is_full(&self) -> bool {
        self.under_way == self.slots.len()
    }

    /// Notes a question and gives it an id; `None` when there is no room.
    pub(super) fn ask(
        &mut self,
        address: [u8; 4],
        due_ns: u64,
        tallies: &mut Tallies,
    ) -> Option<u16> {
        if self.is_full() {
            return None;
        }
        while self.slot(self.next).address != [0; 4] {
            self.next = self.next.wrapping_add(1);
        }
        let serial = self.next;
        *self.slot(serial) = Slot {
            due_ns,
            serial,
            address,
        };
        self.next = serial.wrapping_add(1);
        self.under_way += 1;
        tallies.of(address).sent += 1;
        Some(serial as u16)
    }

    fn slot(&mut self, serial: u32) -> &mut Slot {
        let place = serial as usize & (self.slots.len() - 1);
        &mut self.slots[place]
    }

    /// Counts an answer; the address when it is right. One to a question that is not under way was
    /// counted before, as lost or by its first answer.
    pub(super) fn settle(
        &mut self,
        message: &[u8],
        now_ns: u64,
        tallies: &mut Tallies,
    ) -> Option<[u8; 4]> {
        let &[high, low] = message.first_chunk()?;
        let id = u16::from_be_bytes([high, low]);
        let slot = self.slot(id.into());
        let Slot {
            due_ns,
            serial,
            address,
        } = *slot;
        if address == [0; 4] || serial as u16 != id {
            return None;
        }
        slot.address = [0; 4];
        self.under_way -= 1;
        let tally = tallies.of(address);
        if !check::is_right(message, address) {
            tally.wrong += 1;
            return None;
        }
        tally.answered += 1;
        tally.latency.record(now_ns.saturating_sub(due_ns));
        Some(address)
    }

    /// Gives up what has waited too long.
    pub(super) fn expire(&mut self, now_ns: u64, tallies: &mut Tallies) {
        while self.oldest != self.next {
            let serial = self.oldest;
            let slot = self.slot(serial);
            if slot.address != [0; 4] && slot.serial == serial {
                if now_ns.saturating_sub(slot.due_ns) < LOST_NS {
                    return;
                }
                let address = std::mem::take(&mut slot.address);
                self.under_way -= 1;
                tallies.of(address).lost += 1;
            }
            self.oldest = serial.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{self, Kind};

    fn reply(id: u16, number: u32) -> Vec<u8> {
        let mut reply = names::query(id, Kind::Cached, number).to_vec();
        reply[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
        reply.extend(names::record(names::address_of(Kind::Cached, number)));
        reply
    }

    #[test]
    fn each_question_is_counted_once_as_answered_wrong_or_lost() {
        let (mut flight, mut tallies) = (Flight::new(4, u32::MAX), Tallies::default());
        let mut ids = Vec::new();
        for number in 1..=4 {
            let address = names::address_of(Kind::Cached, number);
            ids.extend(flight.ask(address, number.into(), &mut tallies));
        }
        assert_eq!(ids, [u16::MAX, 0, 1, 2]);
        assert!(flight.ask([11, 0, 0, 1], 5, &mut tallies).is_none(), "full");
        for _ in 0..2 {
            flight.settle(&reply(ids[2], 3), 23, &mut tallies);
            flight.settle(&reply(ids[1], 7), 23, &mut tallies);
            flight.settle(&reply(ids[1] + 4, 2), 23, &mut tallies);
        }
        flight.expire(LOST_NS + 3, &mut tallies);
        assert_eq!(flight.under_way(), 1, "the fourth is due a second after 4");
        flight.expire(LOST_NS + 4, &mut tallies);
        flight.settle(&reply(ids[3], 4), LOST_NS + 5, &mut tallies);
        let Tally {
            sent,
            answered,
            wrong,
            lost,
            latency,
        } = &tallies.cached;
        assert_eq!((*sent, *answered, *wrong, *lost), (4, 1, 1, 2));
        assert_eq!((latency.p50().as_nanos(), flight.under_way()), (20, 0));
        assert_eq!(tallies.new.sent, 0);
    }

    #[test]
    fn a_question_that_waits_does_not_hold_up_those_that_come_after_it() {
        let (mut flight, mut tallies) = (Flight::new(4, 0), Tallies::default());
        let address = names::address_of(Kind::Cached, 1);
        let slow = flight.ask(address, 0, &mut tallies);
        for _ in 0..100_000 {
            let id = flight.ask(address, 1, &mut tallies).unwrap();
            assert_ne!(Some(id), slow);
            flight.settle(&reply(id, 1), 2, &mut tallies);
        }
        flight.settle(&reply(0, 1), 3, &mut tallies);
        assert_eq!(tallies.cached.answered, 100_001);
    }
}
