use super::*;
use crate::announce::tests::service;

#[test]
fn the_sockets_of_a_service_are_known_by_their_numbers() {
    let mut other = service();
    other.addresses = vec!["10.53.53.54".parse().unwrap()];
    let sockets = ["10.53.53.53:53", "[fd53::53]:53", "10.53.53.54:53"];
    let sockets = sockets.map(|text| text.parse().unwrap());
    let known = ServiceSockets::new(&sockets, &[service(), other.clone()]);
    assert_eq!(known.of(0).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(known.of(1).collect::<Vec<_>>(), [2]);
    // The workers do not listen for it: somebody else answers.
    let known = ServiceSockets::new(&sockets[..2], &[service(), other]);
    assert_eq!(known.of(1).count(), 0);
}

#[test]
fn who_takes_back_a_drain_is_told_what_stands() {
    let name = "other".to_owned();
    let by_name = || [Some(&name)].into_iter();
    let all = || [None].into_iter();
    for (told, expected) in [
        (undrained(None, true, [].into_iter()), "the drain is over"),
        (
            undrained(Some("resolver"), true, all()),
            "the drain is over; all services are drained (sidestep undrain)",
        ),
        (
            undrained(Some("resolver"), true, by_name()),
            "the drain is over",
        ),
        (
            undrained(None, false, by_name()),
            "not drained as a whole; other is drained (sidestep undrain --service other)",
        ),
        (
            undrained(Some("resolver"), false, all()),
            "resolver is not drained by name; all services are drained (sidestep undrain)",
        ),
        (
            undrained(Some("resolver"), false, [].into_iter()),
            "resolver is not drained by name",
        ),
    ] {
        assert_eq!(told, expected);
    }
}

#[test]
fn who_replaces_a_drain_is_told_how_long_it_would_have_lasted() {
    #[expect(
        clippy::disallowed_methods,
        reason = "simulated time has to begin somewhere"
    )]
    let now = Instant::now();
    let order = |lasts_s: Option<u64>| DrainOrder {
        service: None,
        who: "ops".into(),
        reason: "new kernel".into(),
        until: lasts_s.map(|lasts_s| now + Duration::from_secs(lasts_s)),
    };
    for (before, after, expected) in [
        (None, Some(1_800), "(was: until taken back, now: for 30m)"),
        (Some(7_205), None, "(was: for 2h 5s, now: until taken back)"),
        (Some(60), Some(90), "(was: for 1m, now: for 1m 30s)"),
    ] {
        let told = replaced(now, &order(before), &order(after));
        let expected = format!("; this replaces the drain of ops {expected}");
        assert_eq!(told, expected);
    }
}
