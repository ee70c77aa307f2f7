//! The written budget, line by line.
//!
//! Two routers hold their best-path runs back by 50 ms each, so no move that BGP drives takes under
//! about 115 ms here.

use super::Limit::{Free, Gap, NoLoss};
use super::{Budget, Fault, Third, line};
use crate::setting::{ANYCAST, BFD_50, BFD_300, Edit, SIBLINGS, UNBOUND};

/// Traffic is back so soon after a link is.
const LINK_BACK_MS: f64 = 1500.0;
/// What an upstream's fault may cost new names: two probes or questions that nobody answers, the
/// routers' 115 ms, and a margin.
const SHARED: super::Limit = Gap(700.0);
/// New names are answered so soon after the upstreams are back.
const RENEWED_MS: f64 = 1000.0;

/// The second zone as evidence for the level.
const CRITICAL: &[Edit] = &[("critical = false", "critical = true")];
/// The client of the flood is no stranger.
const UNLIMITED: &[Edit] = &[(
    "[dns.special_names]",
    "[dns.rate_limit]\nexempt = [\"10.0.1.0/24\", \"fd00:1::/64\"]\n\n[dns.special_names]",
)];
/// What a node has that is configured by nobody.
const DAMPED: &[Edit] = &[
    STATE,
    ("hold_down = \"0s\"\n", ""),
    ("promotions_per_hour = 3600\n", ""),
    ("jitter = \"0s\"\n", ""),
];
/// Nodes that remember across restarts, each in a folder of its own.
const STATE: Edit = ("state = \"none\"", "state = \"/run/sidestep-state\"");
const REMEMBERING: &[Edit] = &[STATE];
/// Nodes that do not ask each other.
const ALONE: &[Edit] = &[("last_resort = ", "# last_resort = ")];

/// Every drill, in the order in which they are done and reported.
pub(crate) const TABLE: &[Budget] = &[
    line(
        "routes",
        Fault::Routes,
        "core sees both sites and prefers one",
        Free,
        Free,
    )
    .once(),
    // Before the others: what befalls upstreams within 5 s of a link's return is put down to the link
    // (`LINK_GRACE` in the node's `health::others`), and new names are lost for so much longer.
    line(
        "c1",
        Fault::NodeLink,
        "link cut at the node",
        Gap(250.0),
        Gap(250.0),
    )
    .back_within(LINK_BACK_MS),
    line(
        "c2",
        Fault::RouterLink,
        "link cut at the router",
        Gap(250.0),
        Gap(250.0),
    )
    .back_within(LINK_BACK_MS),
    line(
        "a",
        Fault::Kill,
        "kill -9 of the serving node",
        Gap(250.0),
        Gap(250.0),
    ),
    // The hold time of 3 s and half a second.
    line(
        "b",
        Fault::Freeze,
        "SIGSTOP of the serving node",
        Gap(3500.0),
        Gap(3500.0),
    ),
    line(
        "d1",
        Fault::Upstreams,
        "upstreams of the serving node silent",
        NoLoss,
        SHARED,
    ),
    line(
        "d1s",
        Fault::Refusing,
        "upstreams of the serving node answer SERVFAIL",
        NoLoss,
        SHARED,
    ),
    line(
        "d1p",
        Fault::RefusingNames,
        "the same, but probes are answered well",
        NoLoss,
        SHARED,
    )
    .seldom(),
    line(
        "d2",
        Fault::AllUpstreams,
        "upstreams of both sites silent",
        NoLoss,
        Free,
    )
    .renewed_within(RENEWED_MS)
    .demanding("no withdrawal"),
    line(
        "wedge",
        Fault::Wedge,
        "one worker of the serving node stands still",
        Gap(1000.0),
        Gap(1000.0),
    ),
    line(
        "zone",
        Fault::Zone,
        "upstreams of a zone that is not critical silent",
        NoLoss,
        NoLoss,
    )
    .and(Third::Zone, SHARED)
    .demanding("no level changes")
    .once(),
    line(
        "drain",
        Fault::Drain,
        "drain and undrain under load",
        NoLoss,
        NoLoss,
    )
    .and(Third::Tcp, NoLoss)
    .demanding("≥ 20,000 queries"),
    line(
        "e",
        Fault::Stop,
        "SIGTERM of the serving node",
        NoLoss,
        NoLoss,
    )
    .and(Third::Tcp, NoLoss)
    .demanding("≥ 20,000 queries"),
    line("f", Fault::Return, "the node comes back", NoLoss, NoLoss),
    line(
        "garbage",
        Fault::Garbage,
        "random bytes on UDP 53, TCP 53 and 179",
        NoLoss,
        NoLoss,
    )
    .once(),
    line(
        "metrics",
        Fault::Metrics,
        "`promtool check metrics` finds nothing",
        Free,
        Free,
    )
    .once(),
    line(
        "zonec",
        Fault::CriticalZone,
        "upstreams of a critical zone silent at the serving node",
        NoLoss,
        NoLoss,
    )
    .and(Third::Zone, SHARED)
    .within(ANYCAST.with(CRITICAL)),
    line(
        "flood",
        Fault::Flood,
        "cheap hits for 30 s, as many as can be sent",
        Free,
        Free,
    )
    .demanding("no level changes, no lease runs out, the watchdog is fed in time")
    .within(ANYCAST.with(UNLIMITED))
    .once(),
    line(
        "drainr",
        Fault::DrainAndRestart,
        "a restart in the middle of a drain",
        NoLoss,
        NoLoss,
    )
    .demanding("not announced before undrain")
    .within(ANYCAST.with(REMEMBERING))
    .once(),
    line(
        "flap",
        Fault::Flapping,
        "upstreams of the serving node 2 s dead, 2 s well, for 60 s",
        NoLoss,
        Free,
    )
    .demanding("≤ 3 changes of level")
    .within(ANYCAST.with(DAMPED))
    .once(),
    line(
        "crash",
        Fault::CrashLoop,
        "kill -9 one second after each of 20 starts",
        Free,
        Free,
    )
    .demanding("≤ 4 changes to preferred")
    .within(ANYCAST.with(DAMPED))
    .once(),
    // Three times 50 ms, the routers' 115 ms, and the time between two packets.
    line(
        "b50",
        Fault::Freeze,
        "SIGSTOP, BFD 50 ms × 3",
        Gap(350.0),
        Gap(350.0),
    )
    .within(BFD_50),
    line(
        "silent50",
        Fault::Silent,
        "packets lost both ways without carrier loss, BFD 50 ms × 3",
        Gap(350.0),
        Gap(350.0),
    )
    .within(BFD_50)
    .back_within(LINK_BACK_MS),
    line(
        "power50",
        Fault::PowerOff,
        "power-off behind a switch, BFD 50 ms × 3",
        Gap(350.0),
        Gap(350.0),
    )
    .within(BFD_50),
    // The detection time and 200 ms, however long the kernel takes to close what the node had open.
    line(
        "k4g",
        Fault::KillLarge,
        "kill -9 with 4 GB resident, BFD 50 ms × 3",
        Gap(350.0),
        Gap(350.0),
    )
    .within(BFD_50),
    line(
        "b300",
        Fault::Freeze,
        "SIGSTOP, BFD 300 ms × 3",
        Gap(1300.0),
        Gap(1300.0),
    )
    .within(BFD_300),
    line(
        "l1",
        Fault::Upstreams,
        "upstreams of the serving node silent, with siblings",
        NoLoss,
        NoLoss,
    )
    .seldom()
    .within(SIBLINGS),
    line(
        "d2s",
        Fault::AllUpstreamsThenDrain,
        "upstreams of all three sites silent, clients moved, with siblings",
        NoLoss,
        Free,
    )
    .seldom()
    .renewed_within(RENEWED_MS)
    .demanding("no withdrawal")
    .within(SIBLINGS),
    // Shows what siblings are for: what the other site has not in its cache is lost.
    line(
        "d2n",
        Fault::AllUpstreamsThenDrain,
        "the same without siblings",
        Free,
        Free,
    )
    .renewed_within(RENEWED_MS)
    .demanding("no withdrawal")
    .within(SIBLINGS.with(ALONE))
    .once(),
    // First, as above.
    line(
        "uc1",
        Fault::NodeLink,
        "link cut at the node, with Unbound",
        Gap(250.0),
        Gap(250.0),
    )
    .back_within(LINK_BACK_MS)
    .within(UNBOUND)
    .once()
    .rare(),
    line(
        "ua",
        Fault::KillTarget,
        "kill -9 of Unbound behind the serving node",
        Gap(1000.0),
        Gap(1000.0),
    )
    .seldom()
    .within(UNBOUND),
    line(
        "uk",
        Fault::Kill,
        "kill -9 of the serving node, Unbound lives",
        Gap(250.0),
        Gap(250.0),
    )
    .seldom()
    .within(UNBOUND)
    .rare(),
    line(
        "ub",
        Fault::FreezeTarget,
        "SIGSTOP of Unbound behind the serving node",
        Gap(1000.0),
        Gap(1000.0),
    )
    .seldom()
    .within(UNBOUND)
    .rare(),
    // Names are asked for every 2 s, over two thirds of a second, each may take 1 s, and the third failure
    // in a row counts: under 7.7 s, and what routes take.
    line(
        "ud1",
        Fault::Upstreams,
        "upstreams of the serving node's Unbound silent",
        NoLoss,
        Gap(8000.0),
    )
    .within(UNBOUND)
    .once()
    .rare(),
    line(
        "ud2",
        Fault::AllUpstreams,
        "upstreams of both sites silent, with Unbound",
        NoLoss,
        Free,
    )
    .demanding("no withdrawal")
    .within(UNBOUND)
    .once()
    .rare(),
    line(
        "ue",
        Fault::Stop,
        "SIGTERM of the serving node, Unbound lives",
        NoLoss,
        NoLoss,
    )
    .seldom()
    .within(UNBOUND)
    .rare(),
];
