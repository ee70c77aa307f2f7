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
use std::thread;
use std::time::Duration;

use draw::Draw;
use flight::Tallies;
use turn::{Run, Waiting};

use crate::latency::Latency;
use crate::names::NUMBERS;
use crate::sys;

pub(crate) use by_hand::Load;
pub(crate) use warm::{Warmed, warm};

mod by_hand;
mod check;
mod draw;
mod flight;
mod schedule;
mod tcp;
mod turn;
mod udp;
mod warm;

/// Ids are 16 bits; some stay free, so that a line that is a little late can go on.
const UNDER_WAY_MAX: usize = 50_000;
const TOO_MANY: &str = "more questions under way in a second than a socket has ids";
const LINES_MAX: usize = 1_024;

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

/// Asks what the plan says.
///
/// # Errors
/// Sockets that cannot be made or used; `InvalidInput` for a plan that cannot be carried out.
pub(crate) fn run(plan: &Plan) -> io::Result<Outcome> {
    check_plan(plan)?;
    // A thread of its own, so that the caller and what it starts later are not kept on the core.
    thread::scope(|scope| {
        let asking = thread::Builder::new().spawn_scoped(scope, || {
            sys::pin(plan.core)?;
            sys::exact_timers();
            carry_out(plan)
        })?;
        asking
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the generator panicked")))
    })
}

fn carry_out(plan: &Plan) -> io::Result<Outcome> {
    let waiting = if plan.mix.new_percent == 0 {
        Waiting::Awake
    } else {
        Waiting::Asleep
    };
    let mut run = Run::new(
        Draw::new(&plan.mix, plan.seed),
        plan.pace,
        plan.time,
        plan.transport.lines(),
        waiting,
    );
    match plan.transport {
        Transport::Udp { sockets } => udp::ask(&mut run, plan.target, sockets)?,
        Transport::Tcp { connections } => tcp::ask(&mut run, plan.target, connections)?,
    }
    let Tallies { cached, new } = run.tallies;
    let mut latency = cached.latency.clone();
    latency.merge(&new.latency);
    Ok(Outcome {
        sent: cached.sent + new.sent,
        answered: cached.answered + new.answered,
        wrong: cached.wrong + new.wrong,
        lost: cached.lost + new.lost,
        elapsed: run.elapsed,
        latency,
        next_new: run.source.next_new(),
        cached,
    })
}

fn check_plan(plan: &Plan) -> io::Result<()> {
    let invalid = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    let Mix {
        cached,
        popularity,
        new_percent,
        first_new,
    } = &plan.mix;
    if *new_percent > 100 || *first_new > NUMBERS || cached.end > NUMBERS {
        return invalid("a share above 100 %, or a number of a name out of range");
    }
    if *new_percent < 100 && cached.is_empty() {
        return invalid("no cached names");
    }
    if matches!(popularity, Popularity::Zipf(exponent) if exponent.is_nan() || *exponent <= 0.0) {
        return invalid("the exponent must be above 0");
    }
    let lines = plan.transport.lines();
    if lines == 0 || lines > LINES_MAX {
        return invalid("no sockets or connections, or too many");
    }
    match plan.pace {
        Pace::Window(0) | Pace::Rate(0) => invalid("nothing to ask"),
        Pace::Window(window) if window.div_ceil(lines) > UNDER_WAY_MAX => invalid(TOO_MANY),
        Pace::Rate(rate) if (rate as usize).div_ceil(lines) > UNDER_WAY_MAX => invalid(TOO_MANY),
        Pace::Window(_) | Pace::Rate(_) => Ok(()),
    }
}

impl Transport {
    fn lines(self) -> usize {
        match self {
            Self::Udp { sockets: lines } | Self::Tcp { connections: lines } => lines,
        }
    }
}
