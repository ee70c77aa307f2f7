//! What is measured: which questions, how fast, against which cache and which limit.

use std::time::Duration;

/// Names that are asked for when hits are measured.
pub(crate) const HOT: u32 = 10_000;
/// The same where the cache is full: few enough to be kept by each of them.
pub(crate) const HOT_WHEN_FULL: u32 = 1_000;

/// One line of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Questions at a speed, and what they cost.
    Load(&'static Load),
    /// What a cached entry takes, and whether it is there.
    Memory,
    /// What the metrics say of the cache, and what the process takes.
    Resident,
    /// Hits while nothing upstream answers.
    DeadUpstreams,
    /// From exec to the first answer.
    Start,
    /// Look-ups only: two threads against one.
    Lookups,
}

/// Questions at a speed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) over: Over,
    pub(crate) speed: Speed,
    /// Of a hundred questions, so many are for names that nobody has asked for.
    pub(crate) new_percent: u8,
    /// The bare loops that do the same, each with its share of the questions in hundredths.
    pub(crate) limits: &'static [(&'static str, u8)],
    /// With a cache that is full, against one with room.
    pub(crate) full: bool,
}

/// How questions travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Udp { sockets: usize },
    Tcp { connections: usize },
}

/// How many questions are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speed {
    /// So many are always under way.
    Window(usize),
    /// So many a second.
    Rate(u32),
}

/// So many clients, each with a socket of its own.
const CLIENTS: usize = 32;
const UDP: Over = Over::Udp { sockets: CLIENTS };

/// Every scenario, in the order in which they run: those that fill the cache come later.
pub(crate) const SCENARIOS: [Scenario; 14] = [
    Scenario::Load(&UDP_HIT),
    Scenario::Load(&Load {
        name: "udp-flood",
        over: Over::Udp { sockets: 8 },
        speed: FLOOD,
        ..UDP_HIT
    }),
    Scenario::Load(&Load {
        name: "udp-hit-20k",
        speed: Speed::Rate(20_000),
        ..UDP_HIT
    }),
    Scenario::Load(&TCP_HIT),
    Scenario::Load(&Load {
        name: "tcp-pipelined",
        speed: FLOOD,
        ..TCP_HIT
    }),
    Scenario::Load(&Load {
        name: "mix",
        new_percent: 10,
        limits: &[("limit-udp", 90), ("limit-relay", 10)],
        ..UDP_HIT
    }),
    Scenario::Load(&MISS),
    Scenario::Load(&Load {
        name: "udp-hit-full",
        limits: &[],
        full: true,
        ..UDP_HIT
    }),
    Scenario::Load(&Load {
        name: "miss-full",
        limits: &[],
        full: true,
        ..MISS
    }),
    Scenario::Memory,
    Scenario::Resident,
    Scenario::DeadUpstreams,
    Scenario::Start,
    Scenario::Lookups,
];

/// One question under way for each client, as stub resolvers have it: datagrams come one by one, not
/// in the batches that a generator can send with one system call.
const UNDER_WAY: Speed = Speed::Window(CLIENTS);
/// In batches. So many fit into the default receive buffer of a socket, which not every server can
/// be told to enlarge.
const FLOOD: Speed = Speed::Window(128);

const UDP_HIT: Load = Load {
    name: "udp-hit",
    over: UDP,
    speed: UNDER_WAY,
    new_percent: 0,
    limits: &[("limit-udp", 100)],
    full: false,
};

/// One question under way on each connection: what a message costs over TCP. With many, a bare
/// loop reads and writes dozens at once, and what is left of the cost of TCP is next to nothing.
const TCP_HIT: Load = Load {
    name: "tcp-hit",
    over: Over::Tcp { connections: 16 },
    speed: Speed::Window(16),
    limits: &[("limit-tcp", 100)],
    ..UDP_HIT
};

const MISS: Load = Load {
    name: "miss",
    over: UDP,
    speed: UNDER_WAY,
    new_percent: 100,
    limits: &[("limit-relay", 100)],
    full: false,
};

impl Scenario {
    /// As on the command line and in the results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Load(load) => load.name,
            Self::Memory => "memory",
            Self::Resident => "resident",
            Self::DeadUpstreams => "dead-upstreams",
            Self::Start => "start",
            Self::Lookups => "lookups",
        }
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Of one turn, without its lead.
    pub(crate) turn: Duration,
    /// Of the same questions just before, not counted.
    pub(crate) lead: Duration,
    /// Rounds that are kept; one more is thrown away before.
    pub(crate) rounds: usize,
    /// The same at a fixed rate, whose 99th percentile is the least steady figure of all.
    pub(crate) rounds_at_rate: usize,
    /// Entries that a full cache has room for; four times as many are asked for.
    pub(crate) full_entries: u32,
    /// Entries whose memory is measured.
    pub(crate) memory_entries: u32,
    /// Octets of the cache whose resident memory is compared with its metrics.
    pub(crate) resident_octets: u64,
    /// How often Sidestep is started.
    pub(crate) starts: usize,
}

impl Scale {
    /// For figures that are published.
    pub(crate) const WHOLE: Self = Self {
        turn: Duration::from_millis(1000),
        lead: Duration::from_millis(100),
        rounds: 5,
        rounds_at_rate: 9,
        full_entries: 50_000,
        memory_entries: 1_000_000,
        resident_octets: 256 << 20,
        starts: 20,
    };
    /// For a look in between: under two minutes.
    pub(crate) const QUICK: Self = Self {
        turn: Duration::from_millis(250),
        lead: Duration::from_millis(25),
        rounds: 2,
        rounds_at_rate: 2,
        full_entries: 8_500,
        memory_entries: 20_000,
        resident_octets: 16 << 20,
        starts: 5,
    };

    /// Rounds that are kept of a scenario.
    pub(crate) fn rounds_of(&self, load: &Load) -> usize {
        match load.speed {
            Speed::Window(_) => self.rounds,
            Speed::Rate(_) => self.rounds_at_rate,
        }
    }
}

impl Load {
    /// How many names hits are asked from.
    pub(crate) fn hot(&self) -> u32 {
        if self.full { HOT_WHEN_FULL } else { HOT }
    }
}
