//! Local aliases that lead to names that upstreams know: the target is asked for like any other
//! question, and its answer goes behind the aliases.
//!
//! Source: RFC 1034 §4.3.2 (3a).

use super::super::answer::Answer;
use super::super::key::Key;
use super::super::local::graft;
use super::super::request::{Request, Transport};
use super::super::sections::Sections;
use super::{Ticket, Worker};

impl Worker {
    /// The local aliases that lead from the question to the name in `key`.
    pub(super) fn chain(&self, ticket: &Ticket, key: &Key) -> Option<Sections<'_>> {
        let request = ticket.request.request();
        let question = request.question();
        let name = question.get(..question.len().checked_sub(4)?)?;
        let asked = ticket.is_alias.then(|| graft::aim(key, name))??;
        let found = self.shared.local().find(asked.name(), asked.qtype());
        found.map(|found| found.sections)
    }

    /// [`Worker::reply`] with the answer for the name in `key`, behind the aliases that lead there.
    pub(super) fn reply_behind(
        &self,
        out: &mut Vec<u8>,
        request: &Request<'_>,
        transport: Transport,
        (chain, key): (Option<Sections<'_>>, &Key),
        answer: Answer<'_>,
    ) {
        let mut room = None;
        let answer = graft::behind(chain, key, answer, &mut room);
        self.reply(out, request, transport, &answer);
    }
}

/// The question for the name that a local alias leads to, when upstreams are to be asked for it.
pub(super) fn aimed(request: &Request<'_>, answer: &Answer<'_>, key: &Key) -> Option<Key> {
    let target = answer.target.filter(|_| request.recursion_desired)?;
    graft::aim(key, target)
}
