//! What scripts say is what happens on real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test over real sockets, which looks at the clock"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fake_upstream::script::Script;
use fake_upstream::serve::Server;
use fake_upstream::words::RCODES;

const ID: [u8; 2] = [0x12, 0x34];
/// Longer than anything that comes.
const PATIENCE: Duration = Duration::from_secs(5);
/// What has not come by then is taken for silence: nothing here takes so long but by order.
const SILENCE: Duration = Duration::from_millis(80);

fn start(script: &str) -> Server {
    let script = Script::parse(script).unwrap();
    Server::start("127.0.0.1:0".parse().unwrap(), script, 1).unwrap()
}

/// `www.example. TXT`, perhaps with OPT and a client's cookie.
fn question(has_edns: bool) -> Vec<u8> {
    let mut message = ID.to_vec();
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(has_edns)]);
    message.extend_from_slice(b"\x03www\x07example\0\0\x10\0\x01");
    if has_edns {
        message.extend_from_slice(b"\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08cookies!");
    }
    message
}

fn client(server: &Server) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Asks over UDP and takes one answer.
fn ask(server: &Server) -> Vec<u8> {
    let socket = client(server);
    socket.send(&question(true)).unwrap();
    hear(&socket).unwrap()
}

fn hear(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = [0; 65_536];
    let octets = socket.recv(&mut buffer).ok()?;
    Some(buffer[..octets].to_vec())
}

/// What else comes within a moment.
fn count_more(socket: &UdpSocket) -> usize {
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    std::iter::from_fn(|| hear(socket)).count()
}

fn connect(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let message = question(true);
    stream.write_all(&[0, message.len() as u8]).unwrap();
    stream.write_all(&message).unwrap();
    stream
}

fn ask_over_tcp(server: &Server) -> Vec<u8> {
    let mut stream = connect(server);
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    message
}

fn contains(message: &[u8], part: &[u8]) -> bool {
    message.windows(part.len()).any(|window| window == part)
}

#[test]
fn every_rcode_comes_with_its_upper_bits_in_opt() {
    for (name, code) in RCODES {
        let message = ask(&start(&format!("* -> rcode {name}")));
        assert_eq!(message[..2], ID, "{name}");
        assert_eq!(u16::from(message[3] & 0x0F), code & 0x0F, "{name}");
        let opt = question(true).len() - 23;
        assert_eq!(u16::from(message[opt + 5]), code >> 4, "{name}");
    }
}

#[test]
fn reasons_options_and_cookies_stand_in_opt() {
    let message = ask(&start(
        "* -> rcode SERVFAIL, ede 22, option 65001 CAFE, cookie 0102030405060708",
    ));
    assert!(contains(&message, b"\0\x0f\0\x02\0\x16"));
    assert!(contains(&message, b"\xfd\xe9\0\x02\xca\xfe"));
    assert!(contains(
        &message,
        b"\0\x0a\0\x10cookies!\x01\x02\x03\x04\x05\x06\x07\x08"
    ));
    let message = ask(&start("* -> cookie 0102030405060708, wrong-cookie"));
    assert!(!contains(&message, b"cookies!") && contains(&message, b"ookies!"));
    let message = ask(&start("* -> answer \"x\", no-opt"));
    assert_eq!(message[11], 0);
}

#[test]
fn flags_are_as_written() {
    assert_eq!(ask(&start("* -> aa, ad"))[2..4], [0x85, 0xA0]);
    assert_eq!(ask(&start("* -> tc"))[2] & 2, 2);
}

#[test]
fn what_does_not_match_does_not_match() {
    assert_ne!(ask(&start("* -> wrong-id"))[..2], ID);
    let asked = &question(false)[12..];
    let other = ask(&start("* -> wrong-question \"ftp.example. A\""));
    assert!(contains(&other, b"\x03ftp\x07example\0\0\x01\0\x01"));
    let shouted = ask(&start("* -> wrong-case"));
    assert!(contains(&shouted, b"\x03WWW\x07EXAMPLE\0\0\x10\0\x01"));
    assert!(!contains(&ask(&start("* -> no-question")), asked));
    assert!(contains(&ask(&start("* -> echo")), asked));
}

#[test]
fn an_answer_comes_after_its_delay() {
    for script in ["* -> delay 60ms", "* -> delay 60ms..70ms"] {
        let server = start(script);
        let before = Instant::now();
        ask(&server);
        assert!(before.elapsed() >= Duration::from_millis(60), "{script}");
    }
    // Exponential: some at least are not at once.
    let server = start("* -> delay exp 5ms");
    let before = Instant::now();
    for _ in 0..20 {
        ask(&server);
    }
    assert!(before.elapsed() >= Duration::from_millis(20));
}

#[test]
fn silence_and_loss_are_silence() {
    let server = start("* -> silent");
    let socket = client(&server);
    socket.send(&question(false)).unwrap();
    assert_eq!(count_more(&socket), 0);
    server.follow(Script::parse("* -> echo, loss 50%").unwrap());
    for _ in 0..200 {
        socket.send(&question(false)).unwrap();
    }
    let came = count_more(&socket);
    assert!((50..150).contains(&came), "{came} of 200");
}

#[test]
fn a_burst_of_forged_answers_comes_before_or_behind_the_real_one() {
    for (script, place) in [
        ("* -> answer \"x\", spoof 5", 0),
        ("* -> answer \"x\", spoof-first 5", 5),
    ] {
        let server = start(script);
        let socket = client(&server);
        socket.send(&question(false)).unwrap();
        let came: Vec<_> = (0..6).map(|_| hear(&socket).unwrap()).collect();
        assert_eq!(
            came.iter().position(|message| message[..2] == ID),
            Some(place)
        );
        assert_eq!(count_more(&socket), 0);
    }
}

#[test]
fn an_answer_may_come_twice_or_in_part_or_be_anything() {
    let server = start("* -> answer \"x\", twice");
    let socket = client(&server);
    socket.send(&question(false)).unwrap();
    assert_eq!(hear(&socket).unwrap(), hear(&socket).unwrap());
    assert_eq!(ask(&start("* -> answer \"x\", cut 14")).len(), 14);
    assert_eq!(ask(&start("* -> raw CAFE")), [0x12, 0x34, 0xCA, 0xFE]);
}

#[test]
fn a_huge_answer_is_truncated_over_udp_and_whole_over_tcp() {
    let server = start("* -> huge 40000");
    let cut = ask(&server);
    assert_eq!((cut[2] & 2, cut.len() < 100), (2, true));
    assert!(ask_over_tcp(&server).len() > 40_000);
    let counts = server.counts();
    assert_eq!(counts.udp.load(Ordering::Relaxed), 1);
    assert_eq!(counts.tcp.load(Ordering::Relaxed), 1);
}

#[test]
fn a_connection_may_stay_open_without_an_answer_or_be_closed() {
    let server = start("* tcp -> half-open\n* -> echo");
    let mut stream = connect(&server);
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{error}"
    );
    ask(&server);
    let server = start("* -> close");
    let mut stream = connect(&server);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_closed_port_refuses_both_and_opens_again() {
    let server = start("* -> refuse");
    let deadline = Instant::now() + PATIENCE;
    let is_refused = |kind| kind == ErrorKind::ConnectionRefused;
    // It takes a moment until the sockets are closed.
    loop {
        let socket = client(&server);
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        let asked = socket
            .send(&question(false))
            .and_then(|_| socket.recv(&mut [0; 512]));
        let udp = asked.is_err_and(|error| is_refused(error.kind()));
        let tcp = TcpStream::connect(server.address()).is_err_and(|error| is_refused(error.kind()));
        if udp && tcp {
            break;
        }
        assert!(Instant::now() < deadline, "udp {udp}, tcp {tcp}");
    }
    server.follow(Script::parse("* -> echo").unwrap());
    loop {
        let socket = client(&server);
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        let sent = socket.send(&question(false)).is_ok();
        if sent && hear(&socket).is_some() {
            break;
        }
        assert!(Instant::now() < deadline, "it does not open again");
    }
}

#[test]
fn more_questions_than_the_capacity_are_lost() {
    let server = start("* -> echo, capacity 100");
    let socket = client(&server);
    for _ in 0..100 {
        socket.send(&question(false)).unwrap();
    }
    let came = count_more(&socket);
    assert!((5..60).contains(&came), "{came} of 100");
}

#[test]
fn rules_hold_for_their_questions_alone() {
    let server =
        start("* TXT first 1 -> answer \"a\"\n* plain -> answer \"b\"\n* edns -> answer \"c\"");
    assert!(contains(&ask(&server), b"\x01a"));
    assert!(contains(&ask(&server), b"\x01c"));
    let socket = client(&server);
    socket.send(&question(false)).unwrap();
    assert!(contains(&hear(&socket).unwrap(), b"\x01b"));
    assert!(contains(
        &ask(&start("* udp -> answer \"a\"\n* tcp -> answer \"b\"")),
        b"\x01a"
    ));
    assert!(contains(
        &ask_over_tcp(&start("* udp -> answer \"a\"\n* tcp -> answer \"b\"")),
        b"\x01b"
    ));
}
