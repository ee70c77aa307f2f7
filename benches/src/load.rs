//! Questions from one core, every answer checked.
//!
//! What counts as time: at a fixed rate from the moment the question was *due*, not from the
//! moment it left. When the generator is late, or the server stalls, the questions that waited
//! are charged with their wait; otherwise a stall would cost one question instead of all that fell
//! into it (coordinated omission). In a windowed run there is nothing that a question is late for:
//! its time runs from the sending of its batch.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use crate::latency::Latency;

/// What to ask, whom and how.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// IPv4 only.
    pub(crate) target: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) mix: Mix,
    pub(crate) pace: Pace,
    /// How long questions are asked; answers are awaited for at most a second more.
    pub(crate) time: Duration,
    /// The same seed asks the same questions.
    pub(crate) seed: u64,
    /// The core on which the generator stays.
    pub(crate) core: usize,
}

/// How questions travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Connected sockets, each with a port of its own.
    Udp { sockets: usize },
    /// Connections with many questions under way on each.
    Tcp { connections: usize },
}

/// Which names are asked for.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    /// The numbers of the names that the cache has.
    pub(crate) cached: Range<u32>,
    pub(crate) popularity: Popularity,
    /// 0 to 100: so many questions of a hundred ask for a name that nobody asked for before.
    pub(crate) new_percent: u8,
    /// The number of the first such name; [`Outcome::next_new`] is where the next run goes on.
    pub(crate) first_new: u32,
}

/// How often one cached name is asked for compared with another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Popularity {
    /// All alike.
    Uniform,
    /// The n-th as often as n to the power of minus this exponent, which is above 0.
    Zipf(f64),
}

/// When questions are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// So many are under way; the next leaves as soon as an answer comes.
    Window(usize),
    /// So many a second, evenly spaced, whatever comes back.
    Rate(u32),
}

/// What came of a plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) sent: u64,
    /// Rightly.
    pub(crate) answered: u64,
    /// Answered otherwise than it should have been.
    pub(crate) wrong: u64,
    /// Not answered within a second.
    pub(crate) lost: u64,
    /// From the first question until no more were asked.
    pub(crate) elapsed: Duration,
    /// Of the right answers.
    pub(crate) latency: Latency,
    /// The number of the first new name that was not asked for.
    pub(crate) next_new: u32,
    /// The part of the above that asked for cached names.
    pub(crate) cached: Tally,
}

/// What came of the questions of one kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) wrong: u64,
    pub(crate) lost: u64,
    pub(crate) latency: Latency,
}

/// What came of filling a cache.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warmed {
    /// Numbers that were answered rightly.
    pub(crate) answered: u64,
    /// Numbers that never were.
    pub(crate) missing: Vec<u32>,
    pub(crate) elapsed: Duration,
}

/// Asks what the plan says.
///
/// # Errors
/// Sockets that cannot be made or used; `InvalidInput` for a plan that cannot be carried out.
pub(crate) fn run(plan: &Plan) -> io::Result<Outcome> {
    let _ = plan;
    Err(io::ErrorKind::Unsupported.into())
}

/// Asks for each cached name of these numbers until it is answered rightly, some times at most.
///
/// # Errors
/// Sockets that cannot be made or used.
pub(crate) fn warm(target: SocketAddr, numbers: Range<u32>) -> io::Result<Warmed> {
    let _ = (target, numbers);
    Err(io::ErrorKind::Unsupported.into())
}
