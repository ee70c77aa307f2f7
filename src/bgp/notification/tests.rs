//! Known octets, texts, and which NOTIFICATION keeps a peer away.

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
