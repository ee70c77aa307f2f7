//! How a question is put to an upstream, and what is an answer to it: the seam to `dns::exchange`.

use sidestep::dns::exchange::query::{self, Edns};
use sidestep::dns::exchange::response::{self, Response};
use sidestep::dns::key::Key;

/// The question as it goes over UDP.
pub(crate) fn over_udp(key: &Key, id: u16, edns: Edns) -> Vec<u8> {
    query::build(key, id, edns)
}

/// The question as it goes over TCP.
pub(crate) fn over_tcp(key: &Key, id: u16, edns: Edns) -> Vec<u8> {
    query::build(key, id, edns)
}

/// What a message is to a question.
pub(crate) fn judge(message: &[u8], id: u16, key: &Key) -> Response {
    response::read(message, id, key)
}
