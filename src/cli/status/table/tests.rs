use super::*;
use crate::admin::status::{Drain, example};

#[test]
fn the_table_of_a_whole_node_is_aligned() {
    let expected = "\
node      ams1 (sidestep 0.1.0)
up        1h 2m
config    /etc/sidestep/sidestep.toml
cache     1234 entries, 5.0 MiB of 256.0 MiB

SERVICE   ADDRESS      LEVEL      SINCE  BOUND  TOLD  REASON
resolver  10.53.53.53  preferred  1h 2m  yes    yes   all probes are answered
resolver  fd53::53     preferred  1h 2m  yes    yes   all probes are answered

NEIGHBOR   STATE        SINCE  AS     BFD  ROUTES  LAST ERROR
192.0.2.1  Established  1h 2m  65001  Up   2       -

ZONE  UPSTREAM            STATE  SINCE  RTT
.     192.0.2.101:53      up     1h 2m  1.2 ms
.     [2001:db8::101]:53  down   12s    -

SIBLING      NODE      REACHED  SINCE  RTT     ABLE  HEARS US
10.0.2.1:53  89abcdef  yes      1h 2m  0.8 ms  yes   -

WORKER  QUERIES  DROPPED  HEARTBEAT
0       98765    0        4 ms ago
";
    assert_eq!(render(&example()), expected);
}

#[test]
fn a_drained_node_says_so_with_the_reason() {
    let mut status = example();
    status.drain = Some(Drain {
        reason: "new kernel".into(),
        since_s: 65,
    });
    status.services[0].families[0].level = Level::Withdrawn;
    status.services[0].families[0].class = Some(FaultClass::Operator);
    status.services[0].families[0].reason = "drained".into();
    let text = render(&status);
    assert!(
        text.contains("\ndrained   for 1m 5s: new kernel\n"),
        "{text}"
    );
    assert!(text.contains("  withdrawn  "), "{text}");
    assert!(text.contains("  operator: drained\n"), "{text}");
}

#[test]
fn sections_without_content_are_left_out() {
    let text = render(&Status::default());
    for head in ["SERVICE", "NEIGHBOR", "ZONE", "SIBLING", "WORKER"] {
        assert!(!text.contains(head), "{text}");
    }
}

/// RFC 9003: the shutdown text is the peer's.
#[test]
fn what_a_peer_wrote_cannot_command_the_terminal() {
    let mut status = example();
    status.neighbors[0].last_error = Some("bye\x1b[2J\x07\u{9b}31m\nnode".into());
    let text = render(&status);
    let harmful = |c: char| c.is_control() && c != '\n';
    assert!(!text.contains(harmful), "{text:?}");
    assert!(text.contains("bye\u{fffd}[2J"), "{text:?}");
    assert_eq!(text.lines().count(), render(&example()).lines().count());
}
