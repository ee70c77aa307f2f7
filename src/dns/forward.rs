//! What serving a query wants from forwarding: the seam between the two halves of the query path.
//!
//! Source: RFC 8914 §4 (the EDE codes that the failures stand for).

use std::rc::Rc;

use super::key::Key;

/// Asks upstreams on behalf of the queries of one worker.
pub trait Forward {
    /// Asks the upstreams of the zone that `key` belongs to; joins a question already under way.
    ///
    /// Ends within the forwarder's own deadline. Dropping the future does not end the exchange:
    /// its outcome still reaches the cache.
    fn ask(&self, key: &Key) -> impl Future<Output = Rc<Outcome>>;

    /// Whether the zone that `key` belongs to has an upstream that is believed to answer.
    fn is_usable(&self, key: &Key) -> bool;
}

/// How a question to the upstreams ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An upstream answered; the RCODE may still be an error.
    Answered(Reply),
    /// No upstream answered.
    Failed(Failure),
}

/// A response whose sender, id and question have been checked and whose records can be walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The whole message as received; id and question case are those that were sent upstream.
    pub message: Vec<u8>,
}

/// Why no upstream answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Every upstream of the zone is known to be dead; nothing was waited for. EDE 22.
    NoneUsable,
    /// The deadline passed. EDE 22.
    TimedOut,
    /// Too many questions are under way. EDE 23.
    Saturated,
}
