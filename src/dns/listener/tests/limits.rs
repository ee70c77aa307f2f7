//! Limits on the way through the desk. Clients have to be made up: no limit holds for loopback.

use super::*;
use crate::dns::request::Transport;
use crate::dns::shared::tests::settings;
use desk::Taken;

const CLIENT: (std::net::IpAddr, Transport) = (
    std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    Transport::Udp,
);

/// 10.0.0.0/8 may ask, and gets no more octets than it sends, but for the least burst.
fn desk(change: impl FnOnce(&mut crate::dns::Settings)) -> Desk<Echoing> {
    let mut settings = settings();
    settings.access.allow = vec!["10.0.0.0/8".parse().unwrap()];
    settings.limits.amplification = std::num::NonZeroU32::new(1);
    settings.limits.allowance_bytes = 0;
    change(&mut settings);
    let shared = Arc::new(Shared::new(&settings, ProbeName::new([7; 16]), start()));
    let forwarder = Echoing {
        echo: Rc::default(),
        records: 30,
        waiting: VecDeque::new(),
        has_news: false,
    };
    Desk::new(Worker::new(0, shared).unwrap(), forwarder, start())
}

fn take(desk: &Desk<Echoing>, message: &[u8], now: std::time::Instant) -> (Taken, Vec<u8>) {
    let mut out = Vec::new();
    let peer = SocketAddr::new(CLIENT.0, 4000).into();
    let taken = desk.take(message, CLIENT, now, &mut out, || Origin::Udp(0, peer));
    (taken, out)
}

/// What each client that waits gets.
fn hear(desk: &Desk<Echoing>, now: std::time::Instant) -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    let cx = &mut Context::from_waker(Waker::noop());
    let progress = desk.hear(cx, now, |_, write| {
        let mut out = Vec::new();
        write(&mut out);
        heard.push(out);
    });
    assert_eq!(progress, Progress::Waiting);
    heard
}

/// RFC 5358: an answer is limited whether the cache or an upstream has it.
#[test]
fn long_answers_leave_truncated_when_the_client_has_had_enough() {
    let (desk, now) = (desk(|_| {}), start());
    // 30 addresses do not fit into 500 octets, but into 4 KiB eight times.
    let message = query(FAST, 1);
    let (taken, out) = take(&desk, &message, now);
    assert_eq!((taken, out.len()), (Taken::Waits, 0));
    let heard = hear(&desk, now);
    assert!(heard[0].len() > 400, "{}", heard[0].len());
    let mut shortened = 0;
    for _ in 0..12 {
        let (taken, out) = take(&desk, &message, now);
        assert_eq!(taken, Taken::Reply);
        if out.len() == message.len() {
            shortened += 1;
            assert!(Message::from_vec(&out).unwrap().metadata.truncation);
        }
    }
    assert!(shortened >= 3, "{shortened}");
    let counters = desk.worker.counters();
    let counted = counters
        .limit_truncated
        .value(crate::dns::limit::Reason::Amplification);
    assert_eq!(counted, shortened);
    // The same for one that has to wait.
    let (taken, _) = take(&desk, &query(b"\x05other\x00", 2), now);
    assert_eq!(taken, Taken::Waits);
    assert_eq!(hear(&desk, now)[0].len(), query(b"\x05other\x00", 2).len());
}

#[test]
fn a_question_over_the_limit_asks_no_upstream() {
    let now = start();
    let desk = desk(|settings| {
        settings.limits.queries_per_second = std::num::NonZeroU32::new(1);
        settings.limits.slip = 2;
    });
    let taken: Vec<_> = (1..=4_u16)
        .map(|id| take(&desk, &query(FAST, id), now).0)
        .collect();
    assert_eq!(
        taken,
        [Taken::Waits, Taken::Drop, Taken::Reply, Taken::Drop]
    );
    assert_eq!(hear(&desk, now).len(), 1);
}
