//! How nodes of one service know each other's questions.
//!
//! Source: RFC 6891 §9 (option codes 65001 to 65534 are for local and experimental use).
//! A sibling is asked as the last resort only, and must not ask a sibling in turn: its question says
//! so with this option, which nobody else is ever sent.

/// Code of the EDNS option that marks a sibling's question; its value is one octet, 1.
pub const MARKER: u16 = 65_053;
