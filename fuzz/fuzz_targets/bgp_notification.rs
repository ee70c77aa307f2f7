//! A neighbour's NOTIFICATION: shown in one harmless line, judged, and written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sidestep::bgp::message::MESSAGE_MAX;
use sidestep::bgp::notification::Notification;

fuzz_target!(|body: &[u8]| {
    let notification = Notification::from_body(body);
    let shown = notification.to_string();
    assert!(shown.len() < 1000);
    assert!(!shown.chars().any(char::is_control));
    let _ = notification.is_administrative();
    let _ = notification.asks_for_back_off();
    let message = notification.encode();
    if (2..=MESSAGE_MAX - 19).contains(&body.len()) {
        assert_eq!(&message[19..], body);
    }
    assert!((21..=MESSAGE_MAX).contains(&message.len()));
});
