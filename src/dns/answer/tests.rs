use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};

use super::*;
use crate::dns::key::Key;
use crate::dns::request::{Standing, Transport, Unreadable};
use crate::dns::sections::BuiltSections;

const NAME: &[u8] = b"node-1";

/// A query for `WwW.example. A`; `opt` is an OPT record or nothing.
fn request(flags: u16, opt: &[u8]) -> Request<'static> {
    let mut message = b"\x12\x34".to_vec();
    message.extend_from_slice(&flags.to_be_bytes());
    let additionals = u8::from(!opt.is_empty());
    message.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, additionals]);
    message.extend_from_slice(b"\x03WwW\x07example\x00\x00\x01\x00\x01");
    message.extend_from_slice(opt);
    Request::parse(message.leak(), &mut Key::empty()).unwrap()
}

fn opt(size: u16, flags: u8, options: &[u8]) -> Vec<u8> {
    let mut opt = b"\x00\x00\x29".to_vec();
    opt.extend_from_slice(&size.to_be_bytes());
    opt.extend_from_slice(&[0, 0, flags, 0, 0]);
    opt.push(u8::try_from(options.len()).unwrap());
    opt.extend_from_slice(options);
    opt
}

fn positive(sections: &BuiltSections) -> Answer<'_> {
    Answer {
        authentic: true,
        sections: Some(sections.lend()),
        ..Answer::bare(Rcode::NOERROR, None)
    }
}

/// Sections of `octets` octets: one TXT record with the 12 octets of its head.
fn sections_of(octets: usize) -> BuiltSections {
    BuiltSections::answers([(rtype::TXT, 1, 60, &vec![0; octets - 12][..])])
}

fn written(request: &Request<'_>, answer: &Answer<'_>) -> Message {
    let mut out = Vec::new();
    write(
        &mut out,
        request,
        request.size_limit(Transport::Udp),
        NAME,
        answer,
    );
    Message::from_vec(&out).unwrap()
}

#[test]
fn an_answer_has_the_clients_id_question_case_and_flags() {
    let sections = BuiltSections::answers([(1, 1, 60, &[10, 0, 0, 1][..])]);
    let mut out = b"before".to_vec();
    let request = request(0x0110, b"");
    assert!(!write(&mut out, &request, 512, NAME, &positive(&sections)));
    assert_eq!(
        out,
        b"before\x12\x34\x81\x90\x00\x01\x00\x01\x00\x00\x00\x00\
          \x03WwW\x07example\x00\x00\x01\x00\x01\
          \xC0\x0C\x00\x01\x00\x01\x00\x00\x00\x3C\x00\x04\x0A\x00\x00\x01"
    );
}

/// RFC 6840 §5.8: AD is for clients that set AD or DO.
#[test]
fn authentic_data_is_told_to_those_who_ask() {
    let sections = sections_of(20);
    for (flags, opt, told) in [
        (0x0100, Vec::new(), false),
        (0x0100, opt(1232, 0, b""), false),
        (0x0120, Vec::new(), true),
        (0x0100, opt(1232, 0x80, b""), true),
    ] {
        let message = written(&request(flags, &opt), &positive(&sections));
        assert_eq!(message.metadata.authentic_data, told);
    }
}

/// RFC 6891 §7: an OPT for those who sent one, with DO as they sent it.
#[test]
fn edns_is_answered_with_edns_alone() {
    let none = written(&request(0x0100, b""), &Answer::bare(Rcode::REFUSED, None));
    assert!(none.edns.is_none());
    assert_eq!(none.metadata.response_code, ResponseCode::Refused);
    assert_eq!(none.metadata.message_type, MessageType::Response);
    for dnssec_ok in [false, true] {
        let request = request(0x0100, &opt(4096, u8::from(dnssec_ok) << 7, b""));
        let edns = written(&request, &Answer::bare(Rcode::REFUSED, None))
            .edns
            .unwrap();
        assert_eq!(edns.max_payload(), 1232);
        assert_eq!(edns.flags().dnssec_ok, dnssec_ok);
        assert_eq!(edns.version(), 0);
        assert!(edns.options().as_ref().is_empty());
    }
}

/// RFC 1035 §4.1.1 (Z) and RFC 6891 §6.1.4: bits without a meaning do not come back.
#[test]
fn unknown_bits_of_the_request_are_not_in_the_answer() {
    let mut edns = opt(1232, 0xFF, b"");
    edns[8] = 0xFF;
    let request = request(0x05CF, &edns);
    let mut out = Vec::new();
    write(
        &mut out,
        &request,
        512,
        NAME,
        &Answer::bare(Rcode::NOERROR, None),
    );
    assert_eq!(out[2..4], [0x81, 0x80]);
    assert!(out.ends_with(b"\x00\x00\x29\x04\xD0\x00\x00\x80\x00\x00\x00"));
}

/// RFC 5001 §2.2 and RFC 8914 §2.
#[test]
fn nsid_and_extended_error_stand_in_the_opt_record() {
    let request = request(0x0100, &opt(1232, 0, b"\x00\x03\x00\x00"));
    let answer = Answer::bare(Rcode::SERVFAIL, Some(ExtendedError::NO_REACHABLE_AUTHORITY));
    let edns = written(&request, &answer).edns.unwrap();
    let Some(EdnsOption::NSID(nsid)) = edns.option(EdnsCode::NSID) else {
        panic!("no NSID in {edns:?}");
    };
    assert_eq!(nsid.as_ref(), NAME);
    let Some(EdnsOption::Unknown(15, ede)) = edns.option(EdnsCode::Unknown(15)) else {
        panic!("no EDE in {edns:?}");
    };
    assert_eq!(ede, &[0, 22]);
}

/// RFC 6891 §6.1.3.
#[test]
fn badvers_uses_the_upper_bits_of_the_opt_record() {
    let request = request(0x0100, &opt(1232, 0, b""));
    let message = written(&request, &Answer::bare(Rcode::BADVERS, None));
    assert_eq!(u16::from(message.metadata.response_code), 16);
}

/// musl before 1.2.4 knows neither EDNS nor TCP, and took a name without records for none.
#[test]
fn a_truncated_answer_has_what_fits_for_a_client_without_edns_alone() {
    let rdata = [10, 0, 0, 1];
    let sections = BuiltSections::answers([(1, 1, 60, &rdata[..]); 100]);
    for (opt, fits) in [(Vec::new(), 30), (opt(512, 0, b""), 0)] {
        let request = request(0x0100, &opt);
        let mut out = Vec::new();
        let limit = request.size_limit(Transport::Udp);
        assert!(write(&mut out, &request, limit, NAME, &positive(&sections)));
        let message = Message::from_vec(&out).unwrap();
        assert!(message.metadata.truncation && out.len() <= limit);
        assert_eq!(message.answers.len(), fits);
        assert!(message.authorities.is_empty());
    }
}

/// RFC 2181 §9: what does not fit is announced by TC.
#[test]
fn answers_are_truncated_just_above_the_limit() {
    const FIXED: usize = HEADER + 17;
    for (opt, limit, fixed) in [
        (Vec::new(), 512, FIXED),
        (opt(512, 0, b""), 512, FIXED + OPT_FIXED),
        (opt(1000, 0, b""), 1000, FIXED + OPT_FIXED),
        (opt(1232, 0, b""), 1232, FIXED + OPT_FIXED),
        (opt(4096, 0, b""), 1232, FIXED + OPT_FIXED),
    ] {
        let request = request(0x0100, &opt);
        for (octets, truncated) in [(limit - 1, false), (limit, false), (limit + 1, true)] {
            let sections = sections_of(octets - fixed);
            let mut out = Vec::new();
            let udp = request.size_limit(Transport::Udp);
            let cut = write(&mut out, &request, udp, NAME, &positive(&sections));
            assert_eq!(cut, truncated, "{octets} of {limit}");
            let message = Message::from_vec(&out).unwrap();
            assert_eq!(message.metadata.truncation, truncated);
            assert_eq!(message.answers.is_empty(), truncated);
            assert_eq!(message.queries.len(), 1);
            assert_eq!(message.edns.is_some(), !opt.is_empty());
            assert_eq!(out.len(), if truncated { fixed } else { octets });

            let mut out = Vec::new();
            let tcp = request.size_limit(Transport::Tcp);
            assert!(!write(&mut out, &request, tcp, NAME, &positive(&sections)));
        }
    }
}

#[test]
fn sixty_five_kilobytes_are_the_limit_of_tcp() {
    let request = request(0x0100, b"");
    let fixed = HEADER + 17;
    // A single record cannot be that long: two of them.
    for (octets, truncated) in [(65_534, false), (65_535, false), (65_536, true)] {
        let first = vec![0; 40_000];
        let second = vec![0; octets - fixed - 24 - first.len()];
        let sections = BuiltSections::answers([(16, 1, 1, &first[..]), (16, 1, 1, &second[..])]);
        let mut out = Vec::new();
        let limit = request.size_limit(Transport::Tcp);
        let cut = write(&mut out, &request, limit, NAME, &positive(&sections));
        assert_eq!(cut, truncated, "{octets}");
        assert!(out.len() <= 65_535);
    }
}

#[test]
fn nsid_gives_way_to_records() {
    let request = request(0x0100, &opt(512, 0, b"\x00\x03\x00\x00"));
    let fixed = HEADER + 17 + OPT_FIXED;
    let nsid = OPTION_HEAD + NAME.len();
    for (octets, told) in [
        (512 - nsid - 1, true),
        (512 - nsid, true),
        (512 - nsid + 1, false),
        (512, false),
    ] {
        let message = written(&request, &positive(&sections_of(octets - fixed)));
        assert!(!message.metadata.truncation);
        let edns = message.edns.unwrap();
        assert_eq!(edns.option(EdnsCode::NSID).is_some(), told, "{octets}");
    }
}

#[test]
fn a_rejection_is_a_header_alone() {
    let message = b"\x12\x34\x11\x00\x00\x01\x00\x00\x00\x00\x00\x00";
    let Err(Unreadable::Reject(rejection)) = Request::parse(message, &mut Key::empty()) else {
        panic!("opcode 2 is not rejected");
    };
    let mut out = Vec::new();
    write_rejection(&mut out, &rejection);
    assert_eq!(out, b"\x12\x34\x91\x84\x00\x00\x00\x00\x00\x00\x00\x00");
}

/// A request with these options, of a client with this standing.
fn request_with(options: &[u8], standing: Standing) -> Request<'static> {
    let mut request = request(0x0100, &opt(1232, 0, options));
    request.standing = standing;
    request
}

/// RFC 5001 §2.2, RFC 7873 §4, RFC 7828 §3.1, RFC 8914 §2 and §4.14.
#[test]
fn every_option_stands_in_the_opt_record() {
    let standing = Standing {
        cookie: Some(*b"ABCDEFGHabcdefghijklmnop"),
        keepalive: Some(100),
        ..Standing::default()
    };
    let request = request_with(b"\x00\x03\x00\x00", standing);
    let answer = Answer {
        is_cached_error: true,
        ..Answer::bare(Rcode::SERVFAIL, Some(ExtendedError(9)))
    };
    let mut out = Vec::new();
    assert!(!write(&mut out, &request, 1232, NAME, &answer));
    assert_eq!(
        out,
        b"\x12\x34\x81\x82\x00\x01\x00\x00\x00\x00\x00\x01\
          \x03WwW\x07example\x00\x00\x01\x00\x01\
          \x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x38\
          \x00\x03\x00\x06node-1\
          \x00\x0A\x00\x18ABCDEFGHabcdefghijklmnop\
          \x00\x0B\x00\x02\x00\x64\
          \x00\x0F\x00\x02\x00\x09\
          \x00\x0F\x00\x02\x00\x0D"
    );
}

/// RFC 6891 §7: no option reaches a client that does not use EDNS.
#[test]
fn without_edns_there_is_no_option() {
    let mut request = request(0x0100, b"");
    request.standing.keepalive = Some(0);
    let answer = Answer::bare(Rcode::SERVFAIL, Some(ExtendedError(9)));
    let mut out = Vec::new();
    write(&mut out, &request, 512, NAME, &answer);
    assert_eq!(out.len(), HEADER + 17);
}

/// RFC 7873 §5.4 and §8: a cookie without a question, and the upper bits of BADCOOKIE.
#[test]
fn a_question_for_a_cookie_is_answered_without_a_question() {
    let message = b"\x12\x34\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\
        \x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x0C\x00\x0A\x00\x08ABCDEFGH";
    let Err(Unreadable::NoQuestion(mut request)) = Request::parse(message, &mut Key::empty())
    else {
        panic!("there is a cookie");
    };
    request.standing.cookie = Some(*b"ABCDEFGHabcdefghijklmnop");
    let mut out = Vec::new();
    write(
        &mut out,
        &request,
        512,
        NAME,
        &Answer::bare(Rcode::BADCOOKIE, None),
    );
    assert_eq!(
        out,
        b"\x12\x34\x80\x87\x00\x00\x00\x00\x00\x00\x00\x01\
          \x00\x00\x29\x04\xD0\x01\x00\x00\x00\x00\x1C\
          \x00\x0A\x00\x18ABCDEFGHabcdefghijklmnop"
    );
}

/// A forged request must not be worth more than it costs: what it has, and an EDE.
#[test]
fn a_refusal_has_no_nsid_unless_the_client_is_known() {
    for rcode in [Rcode::FORMERR, Rcode::NOTIMP, Rcode::REFUSED] {
        for is_verified in [false, true] {
            let standing = Standing {
                is_verified,
                ..Standing::default()
            };
            let request = request_with(b"\x00\x03\x00\x00", standing);
            let answer = Answer::bare(rcode, Some(ExtendedError::PROHIBITED));
            let edns = written(&request, &answer).edns.unwrap();
            assert_eq!(edns.option(EdnsCode::NSID).is_some(), is_verified);
            let mut out = Vec::new();
            write(&mut out, &request, 512, &[b'x'; 255], &answer);
            let plain = HEADER + 17 + OPT_FIXED + EDE_OPTION;
            assert_eq!(out.len(), plain + if is_verified { 259 } else { 0 });
        }
    }
}

/// Question and OPT with all options but NSID fit into the least that a client takes.
#[test]
fn the_longest_question_and_all_options_fit_into_512_octets() {
    let longest = HEADER + 255 + 4 + OPT_FIXED + COOKIE_OPTION + KEEPALIVE_OPTION + 2 * EDE_OPTION;
    assert!(longest <= 512, "{longest}");
}
