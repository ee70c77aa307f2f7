use super::*;

/// The answer of a server named `node1`: A 192.0.2.7 with a compressed owner name.
fn response() -> Vec<u8> {
    let mut bytes = query(0x1234, &question("c7.cached.lab.test", TYPE_A));
    bytes[2] = 0x85;
    bytes[7] = 1;
    let opt = bytes.split_off(bytes.len() - 15);
    bytes.extend_from_slice(&[0xC0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192, 0, 2, 7]);
    bytes.extend_from_slice(&opt[..9]);
    bytes.extend_from_slice(&[0, 9, 0, 3, 0, 5]);
    bytes.extend_from_slice(b"node1");
    bytes
}

#[test]
fn a_query_has_known_bytes() {
    let bytes = query(0xABCD, &question("a.bc", TYPE_AAAA));
    let known = b"\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\
        \x01a\x02bc\x00\x00\x1c\x00\x01\
        \x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x04\x00\x03\x00\x00";
    assert_eq!(bytes, known);
}

#[test]
fn address_question_and_server_are_read_from_an_answer() {
    let answer = read(&response()).unwrap();
    assert_eq!(answer.id, 0x1234);
    assert_eq!(answer.rcode, 0);
    assert_eq!(answer.question, question("c7.cached.lab.test", TYPE_A));
    assert_eq!(answer.addresses, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
    assert_eq!(answer.nsid.as_deref(), Some("node1"));
}

#[test]
fn a_shortened_answer_is_no_answer() {
    let whole = response();
    for length in 0..whole.len() {
        let read = read(&whole[..length]);
        assert!(read.is_none_or(|a| a.nsid.is_none()), "{length} octets");
    }
}

#[test]
fn a_query_is_no_answer_and_an_answer_no_query() {
    assert_eq!(read(&query(1, &question("a", TYPE_A))), None);
    assert_eq!(read_query(&response()), None);
}

/// RFC 8914 §2: the code, then text.
#[test]
fn the_codes_of_extended_errors_are_read() {
    let mut bytes = query(1, &question("a", TYPE_A));
    bytes[2] = 0x81;
    bytes[3] = 0x02;
    let end = bytes.len() - 6;
    bytes.truncate(end);
    bytes.extend_from_slice(b"\0\x0b\0\x0f\0\x03\0\x16!\0\x0f\0\0");
    let answer = read(&bytes).unwrap();
    assert_eq!((answer.rcode, answer.errors), (2, vec![22]));
}

#[test]
fn a_query_tells_its_name_and_options() {
    let bytes = query(7, &question("N1.Unique.lab", TYPE_A));
    let known = Query {
        name: "n1.unique.lab".to_owned(),
        options: vec![OPTION_NSID],
    };
    assert_eq!(read_query(&bytes), Some(known));
    for length in 0..bytes.len() {
        let read = read_query(&bytes[..length]);
        assert!(read.is_none_or(|q| q.options.is_empty()), "{length} octets");
    }
}

/// RFC 7828 §3.1: units of 100 ms; 0 asks for the end of the connection.
#[test]
fn the_keepalive_of_an_answer_is_read() {
    let mut bytes = query(1, &question("a", TYPE_A));
    bytes[2] = 0x81;
    let end = bytes.len() - 6;
    bytes.truncate(end);
    bytes.extend_from_slice(b"\0\x06\0\x0b\0\x02\0\x00");
    assert_eq!(read(&bytes).unwrap().keepalive, Some(0));
}

#[test]
fn a_query_over_tcp_has_its_length_before_it() {
    let bytes = tcp_query(7, &question("a", TYPE_A));
    let (length, query) = bytes.split_at(2);
    assert_eq!(
        usize::from(u16::from_be_bytes([length[0], length[1]])),
        query.len()
    );
    let options = read_query(query).unwrap().options;
    assert_eq!(options, [OPTION_NSID, OPTION_KEEPALIVE]);
}

#[test]
fn a_refusal_answers_the_question_and_nothing_else() {
    let answer = read(&refusal(&query(9, &question("a.b", TYPE_A)), 2).unwrap()).unwrap();
    assert_eq!((answer.id, answer.rcode), (9, 2));
    assert_eq!(answer.question, question("a.b", TYPE_A));
    assert_eq!(refusal(&response(), 2), None);
}
