//! What is said to messages that are no ordinary question.
//!
//! Source: RFC 7873 §5.4 (a question for a cookie), RFC 6895 §3.1 (types that no record has),
//! RFC 9824 §3.5 (FORMERR and EDE 30 for them), RFC 5936 §2.2.1 (a transfer may be refused).

use std::net::IpAddr;

use super::super::answer::{self, Answer};
use super::super::code::{ExtendedError, Rcode};
use super::super::request::{Request, Transport, Unreadable};
use super::super::walk::rtype;
use super::{Step, Worker};

impl Worker {
    /// Answers what has no question that could be read, or drops it.
    pub(super) fn answer_unreadable(
        &self,
        unreadable: Unreadable,
        from: (IpAddr, Transport, usize),
        out: &mut Vec<u8>,
    ) -> Step {
        let rejection = match unreadable {
            Unreadable::Ignore => {
                self.counters().malformed.bump();
                return Step::Drop;
            }
            Unreadable::NoQuestion(request) if self.shared.cookie_secrets().is_some() => {
                self.answer_for_cookie(request, from, out);
                return Step::Reply;
            }
            Unreadable::NoQuestion(request) => request.reject(Rcode::FORMERR),
            Unreadable::Reject(rejection) => rejection,
        };
        self.counters().malformed.bump();
        self.counters().count_response(rejection.rcode);
        answer::write_rejection(out, &rejection);
        Step::Reply
    }

    /// RFC 7873 §5.4: a cookie for who has none, and whether the one that was sent is good.
    fn answer_for_cookie(
        &self,
        mut request: Request<'_>,
        from: (IpAddr, Transport, usize),
        out: &mut Vec<u8>,
    ) {
        let (client, transport, _) = from;
        self.counters().count_query(transport);
        let standing = self.standing(request.edns.as_ref(), from);
        request.standing = standing;
        let answer = if self.access(&request, client).is_none() {
            Answer::bare(Rcode::REFUSED, Some(ExtendedError::PROHIBITED))
        } else if standing.has_bad_option {
            Answer::bare(Rcode::FORMERR, None)
        } else if standing.has_bad_cookie {
            Answer::bare(Rcode::BADCOOKIE, None)
        } else {
            Answer::bare(Rcode::NOERROR, None)
        };
        self.reply(out, &request, transport, &answer);
    }
}

/// What is said to questions of class IN for types that no record has; `None` for others.
///
/// | type | answer | after |
/// |---|---|---|
/// | IXFR, AXFR | REFUSED: there is no zone to transfer | Unbound, Knot Resolver |
/// | MAILB, MAILA | NOTIMP: out of use | BIND |
/// | 0, OPT, TKEY, TSIG, 128 to 248 (NXNAME, and what is to come) | FORMERR | BIND, Unbound |
pub(super) fn meta_answer(qtype: u16) -> Option<Answer<'static>> {
    let (rcode, reason) = match qtype {
        rtype::IXFR | rtype::AXFR => (Rcode::REFUSED, ExtendedError::NOT_SUPPORTED),
        rtype::MAILB | rtype::MAILA => (Rcode::NOTIMP, ExtendedError::NOT_SUPPORTED),
        0 | rtype::OPT | 128..=248 | rtype::TKEY | rtype::TSIG => {
            (Rcode::FORMERR, ExtendedError::INVALID_QUERY_TYPE)
        }
        _ => return None,
    };
    Some(Answer::bare(rcode, Some(reason)))
}

#[cfg(test)]
mod tests;
