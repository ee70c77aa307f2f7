//! How another node of the service says that it asks as its last resort.
//!
//! Source: RFC 6891 §6.1.2 (options), §9 (option codes 65001 to 65534 are for local use).

/// EDNS option code of the marker. It gives rights only beside a source address on the list of
/// siblings; what bears it is passed on to no sibling, wherever it comes from. Its value is one
/// octet, 1.
pub const MARKER: u16 = 65_053;
