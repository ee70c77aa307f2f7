//! How another node of the service says that it asks as its last resort.
//!
//! Source: RFC 6891 §6.1.2 (options), §9 (option codes 65001 to 65534 are for local use).

/// EDNS option code of the marker. It counts only beside a source address on the list of siblings.
/// Its value is one octet, 1; [`Edns::Sibling`](super::exchange::query::Edns::Sibling) puts it there.
pub const MARKER: u16 = 65_053;
