//! The whole machine got no time, or the process was stopped: what came meanwhile lies in sockets.

use std::io::Write;
use std::net::TcpListener as StdListener;

use super::hostile::OPEN;
use super::*;

/// Without ever letting the runtime idle, for its stopped clock would leap to the next timer.
async fn until_awake(node: &Handle, wanted: impl Fn(&PeerStatus) -> bool) -> PeerStatus {
    for _ in 0..100_000 {
        let status = node.status.borrow().clone();
        if wanted(&status) || status.last_end.is_some() {
            return status;
        }
        tokio::task::yield_now().await;
    }
    panic!("it stays at {:?}", node.status.borrow());
}

/// RFC 4271 §8.2.2, event 10: a KEEPALIVE that waits in the socket was heard in time.
#[tokio::test]
async fn a_keepalive_that_waits_is_read_before_the_hold_timer_ends_the_session() {
    locally(async {
        let router = StdListener::bind((ROUTER, 0)).unwrap();
        let mut node = start(parameters(NODE, router.local_addr().unwrap(), 65053), false);
        node.until(State::Connect).await;
        let (mut stream, _) = router.accept().unwrap();
        // Hold time 3 s.
        stream.write_all(&OPEN).unwrap();
        stream.write_all(&keepalive()).unwrap();
        let before = node.until(State::Established).await;
        tokio::time::pause();
        stream.write_all(&keepalive()).unwrap();
        tokio::time::advance(Duration::from_secs(3)).await;
        let heard = before.messages.received.keepalive;
        let after = until_awake(&node, |s| s.messages.received.keepalive > heard).await;
        assert_eq!((after.state, after.last_end), (State::Established, None));
        assert_eq!(after.established_total, 1);
    })
    .await;
}
