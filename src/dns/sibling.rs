//! How another node of the service says that it asks as its last resort.
//!
//! Source: RFC 6891 §9 (option codes 65001 to 65534 are for local use).

/// EDNS option code of the marker. It counts only beside a source address on the list of siblings.
pub const MARKER: u16 = 65_053;
