//! A DNS server that does what a script says: late, silent, wrong, cut, forged.
//!
//! [`script`] reads the script, [`play`] decides without socket or clock what follows a question and
//! when, so that the same script serves a simulation on a virtual clock; [`serve`] is the program's
//! shell around it, with real sockets.
//!
//! A script is a list of rules, one to a line; the first one that matches a question holds:
//!
//! ```text
//! # name    conditions             what follows
//! www.example. A first 2         -> silent
//! www.example. A                 -> answer "192.0.2.1", ttl 60, delay 10ms..30ms
//! *.example. tcp                 -> rcode SERVFAIL, ede 6
//! * edns                         -> rcode FORMERR, no-opt
//! *                              -> echo, loss 50%
//! ```
//!
//! Conditions: a name, `*.name` (below it) or `*`; a type; `udp` or `tcp`; `edns` or `plain`; `do`;
//! `marked` (with a sibling's marker); `with-cookie`, `without-cookie` (a server's); `first N` (the rule holds N times); `every N` (each N-th time).
//!
//! | what follows | meaning |
//! |---|---|
//! | `answer "DATA"` | a record of the type asked for, at the name asked for; may be repeated |
//! | `rr "OWNER TTL TYPE DATA"` | a record of the answer section; see [`record`] for the types |
//! | `authority "…"`, `additional "…"` | the same in the other sections |
//! | `echo` | for A and AAAA an address that follows from the name ([`reply::echo`]); else no data |
//! | `ttl N` | of `answer` and `echo`; default 60 |
//! | `rcode NAME`, `ede N`, `aa`, `ad`, `tc` | as they say |
//! | `delay D`, `delay D1..D2`, `delay exp D` | when: fixed, uniform, exponential |
//! | `loss N%`, `silent` | no answer |
//! | `capacity N` | serves N questions a second; what would wait for over 50 ms is lost |
//! | `refuse` | the port is closed: UDP meets ICMP, TCP a reset |
//! | `close`, `half-open` | TCP: closed, or held open without an answer |
//! | `wrong-id`, `wrong-case`, `no-question`, `wrong-question "NAME TYPE"` | what does not match |
//! | `spoof N`, `spoof-first N` | N forged answers after or before the real one |
//! | `huge N` | N octets of TXT records more |
//! | `cut N`, `raw HEX` | the message is cut, or is this |
//! | `option CODE HEX` | another option in OPT |
//! | `no-opt` | no OPT, though there was one in the question |
//! | `no-ra` | RA is not set: a server that does not resolve |
//! | `uncompressed` | owners are written out that equal the question |
//! | `cookie HEX`, `wrong-cookie` | the server's cookie (RFC 7873); a client's cookie that is wrong |
//! | `twice` | the answer is sent again |
//!
//! Several scripts may stand in one file, each behind a line `== NAME`.

pub mod play;
pub mod record;
pub mod reply;
pub mod script;
pub mod serve;
pub mod words;
