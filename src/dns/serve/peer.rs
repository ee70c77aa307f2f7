//! The answer to a sibling that asks how this node is. It goes through the same sockets and the same
//! loop as any other, for that is what is probed; but it is no client's: load, drains and the judging
//! of self-probes must not see it.
//!
//! Source: RFC 4892 §2 (class CH). RFC 6891 §6.1.3: in another version of EDNS there is no marker.

use std::net::IpAddr;

use super::super::key::Key;
use super::super::request::Request;
use super::super::sections::Sections;
use super::Worker;

impl Worker {
    /// What `client` is told, if it is a sibling and asks that.
    pub(super) fn peer_answer(
        &self,
        request: &Request<'_>,
        key: &Key,
        client: IpAddr,
    ) -> Option<Sections<'_>> {
        let standing = &request.standing;
        if !standing.is_sibling || standing.has_bad_option {
            return None;
        }
        let told = self.shared.peers().answer(key, client)?;
        self.counters().peer_questions.bump();
        Some(told)
    }
}

#[cfg(test)]
mod tests;
