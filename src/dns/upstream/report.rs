//! What is told of upstreams and zones: kinds of failure, status.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Breaker;

/// Why a question to an upstream came to nothing; a closed set, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The network reported it: connection refused, host or network unreachable.
    Refused,
    /// The TCP exchange after a truncated answer failed.
    Tcp,
    /// An answer that matched the question could not be read.
    Malformed,
    /// A datagram that matched no question under way was ignored.
    Ignored,
    /// An answer was ignored or fetched again over TCP, for it had no cookie or a wrong one. RFC 7873.
    Cookie,
    /// The same, for its letters were not in the case that was sent.
    Case,
    /// A question was asked over TCP, for somebody was guessing at its answer. RFC 5452 §9.3.
    Guessed,
    /// The upstream was found to choke on EDNS; it is asked without for a time. RFC 6891 §7.
    Edns,
    /// An RCODE other than NOERROR, NXDOMAIN and YXDOMAIN.
    Rcode,
    /// A readable answer that says nothing about the question: a referral (RFC 2308 §2.2), endless
    /// aliases, records of other names.
    Unusable,
    /// No socket or no free id at this node.
    Local,
}

impl FailureKind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Refused,
        Self::Tcp,
        Self::Malformed,
        Self::Ignored,
        Self::Cookie,
        Self::Case,
        Self::Guessed,
        Self::Edns,
        Self::Rcode,
        Self::Unusable,
        Self::Local,
    ];

    /// The value of the metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Tcp => "tcp",
            Self::Malformed => "malformed",
            Self::Ignored => "ignored",
            Self::Cookie => "cookie",
            Self::Case => "case",
            Self::Guessed => "guessed",
            Self::Edns => "edns",
            Self::Rcode => "rcode",
            Self::Unusable => "unusable",
            Self::Local => "local",
        }
    }

    pub(super) const fn position(self) -> usize {
        match self {
            Self::Refused => 0,
            Self::Tcp => 1,
            Self::Malformed => 2,
            Self::Ignored => 3,
            Self::Rcode => 4,
            Self::Local => 5,
            Self::Cookie => 6,
            Self::Case => 7,
            Self::Guessed => 8,
            Self::Edns => 9,
            Self::Unusable => 10,
        }
    }
}

/// One upstream, for status and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamStatus {
    /// Address and port.
    pub address: SocketAddr,
    /// Apex of its zone as text, with the final dot.
    pub zone: String,
    /// Another node of the service, asked as a last resort.
    pub is_sibling: bool,
    /// It is a sibling whose upstreams are dead too, and is asked within a ration.
    pub is_dry: bool,
    /// Questions that it was not asked because that was spent.
    pub denied: u64,
    /// Whether it is believed to answer: its breaker is closed.
    pub up: bool,
    /// Whether it is asked, and if not, why.
    pub breaker: Breaker,
    /// How often its breaker was opened by transport, and by RCODEs.
    pub openings: [u64; 2],
    /// Whether its TCP breaker is closed.
    pub tcp_closed: bool,
    /// Up, but a question sent after its last answer is late.
    pub suspected: bool,
    /// Loses or is contradicted by others, and is therefore asked after those that are not.
    pub is_second_choice: bool,
    /// What it leaves unanswered or answers late, of questions and probes: 0 to 1000.
    pub loss_permille: u32,
    /// The time within which 19 of 20 questions are answered; `None` while too few have been.
    pub p95: Option<Duration>,
    /// Smoothed round-trip time of probes; `None` before the first answer.
    pub srtt: Option<Duration>,
    /// Client questions under way.
    pub in_flight: u32,
    /// Client questions sent, repetitions included.
    pub queries: u64,
    /// Client questions that were late.
    pub timeouts: u64,
    /// When it went up or down.
    pub since: Instant,
}

/// One forward zone, for health and status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneStatus<'a> {
    /// Apex as text, with the final dot.
    pub zone: &'a str,
    /// Whether its failure is evidence for the level of the services.
    pub critical: bool,
    /// Whether at least one of its upstreams is up.
    pub usable: bool,
    /// Whether a sibling may be asked in their place.
    pub last_resort: bool,
}
