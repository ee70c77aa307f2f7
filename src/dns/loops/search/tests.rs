//! Against upstreams on loopback: one that sends names back, one that does not.

use std::net::SocketAddr;

use tokio::task::LocalSet;
use tokio::time::timeout;

use super::super::super::shared::tests::shared;
use super::super::super::upstream::ResolvedZone;
use super::*;

const FAR: Duration = Duration::from_secs(30);

/// An upstream; one that leads back lets the node hear its own questions.
async fn upstream(shared: &Arc<Shared>, leads_back: bool) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let shared = Arc::clone(shared);
    tokio::task::spawn_local(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, _) = socket.recv_from(&mut buffer).await.unwrap();
            let name = &buffer[12..length - 4];
            assert!(name.ends_with(b"\x0dsidestep-loop\x04corp\x00"));
            assert_eq!(buffer[length - 4..length], [0, 16, 0, 1]);
            if leads_back {
                assert!(shared.loops().comes_back(name));
            }
        }
    });
    address
}

#[tokio::test]
async fn an_upstream_that_sends_questions_back_is_found_and_another_is_not() {
    LocalSet::new()
        .run_until(async {
            let shared = Arc::new(shared());
            let (good, bad) = (
                upstream(&shared, false).await,
                upstream(&shared, true).await,
            );
            let zone = ResolvedZone {
                zone: b"\x04corp\x00".to_vec(),
                zone_text: "corp.".to_owned(),
                upstreams: vec![good, bad],
                ..ResolvedZone::default()
            };
            let upstreams = Arc::new(Upstreams::new(&[zone], Instant::now().into_std()));
            let (stop, stopped) = watch::channel(false);
            let running = tokio::task::spawn_local(run(upstreams, Arc::clone(&shared), stopped));
            timeout(FAR, async {
                while shared.loops().looping() == 0 {
                    sleep(Duration::from_millis(5)).await;
                }
            })
            .await
            .unwrap();
            assert_eq!(shared.loops().looping(), 1);
            assert_eq!(shared.loops().returned(), 1);
            stop.send(true).unwrap();
            timeout(FAR, running).await.unwrap().unwrap();
        })
        .await;
}

#[test]
fn rounds_of_many_nodes_do_not_fall_together() {
    for _ in 0..1000 {
        let wait = jittered(INTERVAL_MAX);
        assert!(wait <= INTERVAL_MAX && wait >= INTERVAL_MAX.mul_f64(0.75));
    }
}
