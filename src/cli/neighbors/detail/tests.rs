use super::*;
use crate::admin::status::neighbor::{BfdState, example};

#[test]
fn everything_that_is_known_of_a_neighbour_is_shown() {
    let expected = "\
neighbor       192.0.2.1, AS 65001 (external), over eth1
state          Established for 1h 2m, established 3 times
local          192.0.2.10:41022, AS 65053, router id 192.0.2.10
remote         192.0.2.1:179, AS 65001, router id 192.0.2.1
hold time      9 s agreed, keepalive 3 s (9 s offered, 180 s received)
timers         hold expires in 8.1 s, next keepalive in 1.2 s
families       ipv4 unicast, ipv6 unicast
role           customer (neighbor: none)
ttl            255 sent, 255 or more taken (GTSM)
md5            yes
last sent      4/0 hold timer expired, 1h 2m ago
last received  -
last end       sent 4/0 hold timer expired, 1h 2m ago
update errors  0
bfd            Up for 1h 2m, up 2x, lost 1x, last for: control detection time expired
bfd local      Up, sends 300 ms x 3, takes 250 ms, discriminator 3735928559, diagnostic 0 (none)
bfd remote     Up, sends 300 ms x 3, takes 250 ms, discriminator 7, diagnostic 0 (none)
bfd agreed     sent every 300 ms, lost after 900 ms
bfd measured   received every 262.1 ms, longest 301.2 ms
bfd packets    14230 sent, 14228 received, 0 rejected

CODE  CAPABILITY        SENT  RECEIVED
1     multiprotocol     yes   yes
2     route refresh     yes   no
64    graceful restart  no    yes
65    four-octet AS     yes   yes

PREFIX          NEXT HOP      MED   LOCPREF  PATH         COMMUNITIES
10.53.53.53/32  192.0.2.10    1000  -        65053 65053  65001:100 graceful-shutdown 65001:1:2
fd53::53/128    2001:db8::10  1000  -        65053 65053  65001:100 graceful-shutdown 65001:1:2

MESSAGES  OPEN  UPDATE  NOTIFICATION  KEEPALIVE  REFRESH  TOTAL
sent      3     9       1             1250       0        1263
received  3     4       0             61         1        69
";
    assert_eq!(render(&example()), expected);
}

/// A neighbour that was never reached: nothing that is not known is made up.
#[test]
fn what_is_not_known_is_a_dash() {
    let mut neighbor = example();
    neighbor.summary.address = "fe80::1%eth1".into();
    neighbor.summary.state = SessionState::Connect;
    neighbor.summary.asn = None;
    neighbor.summary.bfd = None;
    neighbor.passive = true;
    neighbor.dead_man = true;
    neighbor.established_total = 0;
    neighbor.keepalive_ms = None;
    neighbor.timers = Timers {
        restart_ms: Some(0),
        ..Timers::default()
    };
    neighbor.local = Speaker::default();
    neighbor.remote = Speaker {
        address: Some("fe80::1%eth1".into()),
        port: Some(179),
        ..Speaker::default()
    };
    neighbor.families.clear();
    neighbor.routes.clear();
    neighbor.ttl.accepted_min = None;
    neighbor.bfd_session = None;
    let text = render(&neighbor);
    for line in [
        "neighbor       fe80::1%eth1 (external), over eth1, passive\n",
        "state          Connect for 1h 2m, never established\n",
        "local          address not known\n",
        "remote         [fe80::1%eth1]:179\n",
        "hold time      - agreed, keepalive - (- offered, - received)\n",
        "timers         next attempt in 0 s\n",
        "families       -\n",
        "ttl            255 sent, any taken\n",
        "dead man       held down",
        "bfd            off\n",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    assert!(!text.contains("CAPABILITY") && !text.contains("PREFIX"));
}

#[test]
fn a_bfd_neighbour_that_was_never_heard_says_so() {
    let mut neighbor = example();
    let session = neighbor.bfd_session.as_mut().unwrap();
    session.local.state = BfdState::Down;
    session.remote.state = BfdState::Down;
    session.remote.discriminator = None;
    session.held_down = true;
    session.detection_time_us = None;
    session.receive_interval_us = None;
    let text = render(&neighbor);
    assert!(text.contains("bfd remote     never heard\n"), "{text}");
    assert!(text.contains("received every -, longest"), "{text}");
    assert!(text.contains("lost after -\n"), "{text}");
    assert!(text.contains("bfd held       the node keeps"), "{text}");
}

/// RFC 9003: the shutdown text is the peer's.
#[test]
fn what_a_peer_wrote_cannot_command_the_terminal() {
    let mut neighbor = example();
    let before = render(&neighbor).lines().count();
    let mishap = neighbor.last_error_sent.as_mut().unwrap();
    mishap.text = "bye\x1b[2J\n\u{9b}31m".into();
    let text = render(&neighbor);
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
    assert_eq!(text.lines().count(), before);
}
