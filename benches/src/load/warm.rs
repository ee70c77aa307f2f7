//! Filling a cache: each name is asked for until it is answered rightly.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use super::draw::Source;
use super::turn::{Run, Waiting};
use super::{Pace, udp};
use crate::names::{self, Kind, NUMBERS};

const SOCKETS: usize = 4;
/// Few enough for every server to keep up with while it asks an upstream.
const WINDOW: usize = 128;
/// How often the names that were not answered are asked for again.
const ROUNDS: usize = 10;
const ROUND_LONGEST: Duration = Duration::from_secs(600);

/// What came of filling a cache.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warmed {
    /// How many names were answered rightly.
    pub(crate) answered: u64,
    /// The numbers of those that never were.
    pub(crate) missing: Vec<u32>,
    pub(crate) elapsed: Duration,
}

/// Asks over UDP for each cached name of these numbers until it is answered rightly, in ten rounds
/// at most.
///
/// # Errors
/// Sockets that cannot be made or used; `InvalidInput` for numbers that no name has.
pub(crate) fn warm(target: SocketAddr, numbers: Range<u32>) -> io::Result<Warmed> {
    if numbers.end > NUMBERS {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut source = Missing {
        answered: vec![false; numbers.len()],
        first: numbers.start,
        next: 0,
    };
    let mut elapsed = Duration::ZERO;
    for _ in 0..ROUNDS {
        source.next = 0;
        let pace = Pace::Window(WINDOW);
        let mut run = Run::new(source, pace, ROUND_LONGEST, SOCKETS, Waiting::Asleep);
        udp::ask(&mut run, target, SOCKETS)?;
        elapsed += run.elapsed;
        source = run.source;
        if source.answered.iter().all(|answered| *answered) {
            break;
        }
    }
    let missing: Vec<_> = numbers
        .zip(&source.answered)
        .filter(|(_, answered)| !**answered)
        .map(|(number, _)| number)
        .collect();
    Ok(Warmed {
        answered: (source.answered.len() - missing.len()) as u64,
        missing,
        elapsed,
    })
}

/// The names that were not answered yet, once around.
struct Missing {
    answered: Vec<bool>,
    first: u32,
    next: usize,
}

impl Source for Missing {
    fn next(&mut self) -> Option<(Kind, u32)> {
        let rest = self.answered.get(self.next..)?;
        let place = self.next + rest.iter().position(|answered| !answered)?;
        self.next = place + 1;
        Some((Kind::Cached, self.first + place as u32))
    }

    fn answered(&mut self, address: [u8; 4]) {
        let place = names::number_of(address).wrapping_sub(self.first);
        if let Some(answered) = self.answered.get_mut(place as usize) {
            *answered = true;
        }
    }
}
