//! Known octets, texts, and which NOTIFICATION keeps a peer away.

use proptest::prelude::*;

use super::*;

fn golden(tail: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xFF; 16];
    bytes.extend_from_slice(tail);
    bytes
}

/// RFC 9003 §2: length octet, then UTF-8.
#[test]
fn a_shutdown_carries_its_text() {
    let notification = Notification::administrative_shutdown("bye");
    assert_eq!(
        notification.encode(),
        golden(&[0, 25, 3, 6, 2, 3, b'b', b'y', b'e'])
    );
    assert_eq!(notification.text().as_deref(), Some("bye"));
    assert_eq!(
        notification.to_string(),
        "6/2 cease: administrative shutdown: bye"
    );
}

/// RFC 9003 §2: at most 255 octets, and never half a character.
#[test]
fn a_long_text_is_cut_at_a_character() {
    let notification = Notification::administrative_shutdown(&"ä".repeat(200));
    assert_eq!(notification.data.len(), 255);
    assert_eq!(notification.text().unwrap(), "ä".repeat(127));
}

/// RFC 9003 §6: the text is the peer's, so it must not steer the log.
#[test]
fn a_received_text_loses_its_control_characters() {
    let notification = Notification::from_body(b"\x06\x02\x05a\n\x1b[b");
    assert_eq!(notification.text().as_deref(), Some("a  [b"));
    let lying = Notification::from_body(b"\x06\x02\xffshort");
    assert_eq!(lying.text(), None);
    assert_eq!(lying.to_string(), "6/2 cease: administrative shutdown");
    let longest = [&[6, 4, 255][..], &[b'x'; 255]].concat();
    let longest = Notification::from_body(&longest);
    assert_eq!(longest.text().map(|text| text.len()), Some(255));
    let not_utf8 = Notification::from_body(b"\x06\x02\x03a\xffb");
    assert_eq!(not_utf8.text().as_deref(), Some("a\u{FFFD}b"));
    // Turning the direction of the rest of the line, and a line separator.
    let turning = Notification::administrative_reset("a\u{202E}b\u{2028}c\u{7F}d\u{85}e");
    assert_eq!(turning.text().as_deref(), Some("a b c d e"));
    assert_eq!(
        Notification::from_body(&turning.encode()[19..]).text(),
        turning.text()
    );
}

/// RFC 8538 §3.1: a hard reset means what it carries.
#[test]
fn a_hard_reset_means_what_it_carries() {
    let carrying = |inner: &[u8]| Notification::from_body(&[&[6, 9], inner].concat());
    let shutdown = carrying(b"\x06\x02\x03bye");
    assert_eq!(
        shutdown.to_string(),
        "6/9 cease: hard reset: 6/2 cease: administrative shutdown: bye"
    );
    assert!(shutdown.is_administrative());
    assert!(!shutdown.asks_for_back_off());
    assert_eq!(shutdown.text().as_deref(), Some("bye"));

    let refused = carrying(&[2, 2]);
    assert_eq!(
        refused.to_string(),
        "6/9 cease: hard reset: 2/2 open refused: bad peer AS"
    );
    assert!(refused.asks_for_back_off());
    for inner in [&[][..], &[6], &[6, 9], &[6, 9, 6, 9, 6, 2]] {
        let empty = carrying(inner);
        assert_eq!(empty.carried(), None);
        assert_eq!(empty.to_string(), "6/9 cease: hard reset");
        assert!(!empty.is_administrative());
        assert!(empty.asks_for_back_off());
    }
}

/// RFC 4486 §4: family and number are shown where they are there as a whole.
#[test]
fn the_limit_on_prefixes_is_shown() {
    let limit = Notification::from_body(&[6, 1, 0, 1, 1, 0, 0, 0, 5]);
    assert_eq!(limit.prefix_limit(), Some((Family::Ipv4, 5)));
    assert_eq!(
        limit.to_string(),
        "6/1 cease: maximum number of prefixes reached: ipv4 at most 5"
    );
    for data in [&[][..], &[0, 1, 1, 0, 0, 0], &[0, 1, 128, 0, 0, 0, 5]] {
        let short = Notification::new(6, 1, data.to_vec());
        assert_eq!(
            short.to_string(),
            "6/1 cease: maximum number of prefixes reached"
        );
    }
}

/// RFC 4271 §4.5: code, subcode, data.
#[test]
fn every_notification_that_is_sent_has_its_known_octets() {
    assert_eq!(
        Notification::hold_timer_expired().encode(),
        golden(&[0, 21, 3, 4, 0])
    );
    assert_eq!(
        Notification::send_hold_timer_expired().encode(),
        golden(&[0, 21, 3, 8, 0])
    );
    assert_eq!(
        Notification::collision().encode(),
        golden(&[0, 21, 3, 6, 7])
    );
    assert_eq!(
        Notification::connection_rejected().encode(),
        golden(&[0, 21, 3, 6, 5])
    );
    assert_eq!(
        Notification::other_configuration_change().encode(),
        golden(&[0, 21, 3, 6, 6])
    );
    assert_eq!(
        Notification::bfd_down().encode(),
        golden(&[0, 21, 3, 6, 10])
    );
    assert_eq!(
        Notification::machine_error(3, Kind::Open).encode(),
        golden(&[0, 22, 3, 5, 3, 1])
    );
    assert_eq!(
        Notification::administrative_reset("").encode(),
        golden(&[0, 22, 3, 6, 4, 0])
    );
}

/// RFC 4271 §4.1: data that does not fit is dropped, not the message.
#[test]
fn oversized_data_is_left_out() {
    let notification = Notification::new(3, 1, vec![0; 5000]);
    assert_eq!(notification.encode(), golden(&[0, 21, 3, 3, 1]));
}

/// RFC 4486: only a refusal makes coming back at once useless.
#[test]
fn only_a_refusal_asks_for_back_off() {
    for subcode in [2, 4, 7, 10] {
        assert!(!Notification::new(6, subcode, vec![]).asks_for_back_off());
    }
    // A link that came back within the router's hold time was answered 5/0 and then stayed away for
    // 6 and 12 s.
    for (code, subcode) in [(4, 0), (5, 0), (5, 2)] {
        assert!(!Notification::new(code, subcode, vec![]).asks_for_back_off());
    }
    for (code, subcode) in [(2, 2), (6, 1), (6, 3), (6, 5), (3, 1), (1, 1)] {
        assert!(Notification::new(code, subcode, vec![]).asks_for_back_off());
    }
}

proptest! {
    /// RFC 4271 §4.5, RFC 9003 §6: any code, subcode and data can be shown, on one line, bounded.
    #[test]
    fn any_notification_can_be_shown(
        code in 0_u8..10, subcode in 0_u8..13, data in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let notification = Notification::from_body(&[&[code, subcode], &data[..]].concat());
        let shown = notification.to_string();
        prop_assert!(!shown.chars().any(char::is_control));
        prop_assert!(shown.len() < 1000);
        let _ = (notification.is_administrative(), notification.asks_for_back_off());
        prop_assert_eq!(Notification::from_body(&notification.encode()[19..]), notification);
    }
}
