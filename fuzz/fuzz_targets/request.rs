//! A client's message: read, answered, and the answer read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sidestep::dns::answer::{self, Answer};
use sidestep::dns::code::{ExtendedError, Rcode};
use sidestep::dns::exchange::response::{self, Response};
use sidestep::dns::key::Key;
use sidestep::dns::request::{Request, Transport, Unreadable};

fuzz_target!(|message: &[u8]| {
    let mut key = Key::empty();
    let mut out = Vec::new();
    match Request::parse(message, &mut key) {
        Ok(request) => {
            let limit = request.size_limit(Transport::Udp);
            let refused = Answer::bare(Rcode::REFUSED, Some(ExtendedError(18)));
            answer::write(&mut out, &request, limit, b"node", &refused);
            assert!(out.len() <= limit);
            let kept = request.keep();
            let mut again = Vec::new();
            answer::write(&mut again, &kept.request(), limit, b"node", &refused);
            assert_eq!(out, again);
            let read = response::read(&out, request.id, &key);
            assert!(
                matches!(read, Response::Complete { rcode: 5, .. }),
                "{read:?}"
            );
        }
        Err(Unreadable::Reject(rejection)) => {
            answer::write_rejection(&mut out, &rejection);
            assert!(out.len() <= message.len().max(12));
        }
        Err(Unreadable::NoQuestion(request)) => {
            answer::write_rejection(&mut out, &request.reject(Rcode::FORMERR));
            assert!(out.len() <= message.len());
        }
        Err(Unreadable::Ignore) => {}
    }
});
