//! Sidestep: an anycast DNS node in one process.
//!
//! A caching, forwarding resolver on shared anycast addresses, with a health checker, a BGP speaker
//! and BFD in the same process. While the node answers well it announces its /32 and /128 to the
//! neighbour routers; when it cannot, it steps aside.
//!
//! # The two paths
//!
//! ```text
//! query path    socket → listener → request → access → cache ─hit/stale─→ answer → socket
//!                                                        └miss→ inflight → upstream (which?) → exchange (how?) → cache → answer
//! health path   worker counters + heartbeats ┐
//!               self-probe, upstream states  ├→ health: fault class → verdict → announce: level per service → order of steps
//!               address and link events      │                                                              ├→ os: bind / unbind address
//!               drain request (CLI, SIGTERM) ┘                                                              └→ bgp: routes per neighbour ← bfd
//! ```
//!
//! Everything else (configuration, admin, metrics, logs) looks at these two paths or changes their
//! settings; it never stands in them.
//!
//! # Threads
//!
//! | thread | what runs there |
//! |---|---|
//! | one per query worker | its own sockets, TCP connections, upstream sockets and in-flight table; one loop receives, answers from the cache, asks upstreams and sends, all in batches |
//! | upkeep | probes of upstreams, canaries, search for forwarding loops; beats time for the workers, so that an idle one needs no timer |
//! | routing | health, announcing, BGP, BFD, netlink |
//! | checks | extra checks of services, if there are any; apart, for the system may take long to start a program |
//! | admin | HTTP, control socket, rendering of metrics |
//! | state, warm | write the state file and that of hot names: a disk may be slow |
//! | log | writes what the others have logged; when nobody reads it, lines are dropped and counted |
//!
//! # Map
//!
//! Shells may wait, spawn, read the clock and touch the operating system; all else is core:
//! functions of (state, event, now). `tests/tidy.rs` holds the list of shells and checks the rules.
//!
//! | module | what it is |
//! |---|---|
//! | [`dns`] | the query path |
//! | [`health`] | from signals to a verdict per service and address family |
//! | [`announce`] | from verdicts to routes, in a safe order |
//! | [`bgp`] | the BGP speaker |
//! | [`bfd`] | whether a neighbour is there, in fractions of a second |
//! | [`os`] | addresses, links, gateways, router discovery, sockets, signals |
//! | [`config`] | from files and environment to checked settings |
//! | [`admin`] | HTTP, control socket and what goes outwards |
//! | [`node`] | builds every part, with its threads and channels; where the domains meet |
//! | [`cli`] | the command line, the only place that prints |
//! | [`state`] | what is to be known again after a restart |
//! | [`telemetry`] | log subscriber and metrics registry |
//!
//! # Invariants
//!
//! 1. A route is announced only after the address is bound, the sockets answer and a self-probe
//!    through the real service socket was good; at a stop it is withdrawn before anything closes.
//! 2. Only a fault of this node alone, or the operator, withdraws a route (unless
//!    `on_shared_fault = "withdraw"` says otherwise). Shared faults make it less preferred.
//! 3. The route never outlives the process: no graceful restart, no long-lived graceful restart.
//! 4. Workers never wait for the routing thread, nor it for them: health reads counters that the
//!    workers leave in atomics.
//! 5. Every queue, table and buffer has a bound, and a counter for when the bound is hit.
//! 6. A query over UDP costs no task, no timer and no allocation; a look into the cache takes no lock.
//!
//! # Dependencies
//!
//! | crate | why |
//! |---|---|
//! | `anyhow` | errors of the command line, which are only printed |
//! | `arc-swap` | the status is read without a lock |
//! | `axum` | HTTP for metrics, health and status |
//! | `bytemuck` | zeroed atomics and octets in words, without unsafe code |
//! | `bytesize` | `256MiB` in the configuration |
//! | `clap` | command line |
//! | `figment` | layers of configuration that remember where a value came from |
//! | `futures-util` | netlink hands out its answers as streams |
//! | `hickory-proto` | names, record types and RDATA from text; the message model in tests |
//! | `hickory-resolver` | the system's resolver configuration, and host names in the configuration |
//! | `humantime` | `200ms` in the configuration |
//! | `ipnet` | prefixes |
//! | `libc` | constants and the few system calls that no safe crate offers |
//! | `netlink-packet-route` | the messages of `rtnetlink` |
//! | `prometheus` | metrics and their text format |
//! | `rand` | ids, ports, jitter |
//! | `rtnetlink` | addresses, routes and link events without running `ip` |
//! | `sd-notify` | readiness and watchdog of systemd |
//! | `serde` | configuration and status as types |
//! | `serde_json` | status and control socket |
//! | `sha1` | signs BFD packets, as RFC 5880 wants it |
//! | `siphasher` | SipHash-2-4, which RFC 9018 makes cookies with, and keyed hashes whose key is an argument |
//! | `socket2` | socket options |
//! | `strsim` | "did you mean …?" for unknown keys |
//! | `thiserror` | one error enum per module |
//! | `tokio` | sockets and timers, one current-thread runtime per thread |
//! | `toml` | the configuration's syntax, with spans |
//! | `tracing` | structured events |
//! | `tracing-subscriber` | events as text or JSON |
//! | `zettabgp` | encodes the path attributes of UPDATEs |
//! | `fake-upstream` | (tests, of this repository) upstreams that do what a script says |
//! | `loom` | (tests, on demand) plays out what threads may see of a slot of the cache |
//! | `proptest` | (tests) no panic on any input, invariants over random events |
//! | `tempfile` | (tests) folders that vanish |
pub mod admin;
pub mod announce;
pub mod bfd;
pub mod bgp;
pub mod cli;
pub mod config;
pub mod dns;
pub mod health;
pub mod node;
pub mod os;
pub mod state;
pub mod telemetry;
