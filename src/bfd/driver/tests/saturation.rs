//! Whether packets leave in time while the workers take all that the machine has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;
use crate::os::socket::lower_priority;

/// How long it is measured; `SIDESTEP_SATURATION_S` says otherwise.
const SECONDS: u64 = 60;

/// Design §2: workers are a little nicer than the routing thread. Run alone, by hand:
/// `cargo test --lib saturation -- --ignored --nocapture`
#[tokio::test]
#[ignore = "takes a minute and all processors"]
async fn saturated_workers_do_not_break_a_session_of_50_ms() {
    let seconds = std::env::var("SIDESTEP_SATURATION_S");
    let seconds = seconds.map_or(SECONDS, |text| text.parse().unwrap());
    let is_over = Arc::new(AtomicBool::new(false));
    let workers = thread::available_parallelism().unwrap().get();
    let busy: Vec<_> = (0..workers)
        .map(|_| {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || {
                lower_priority(1).unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    // Each end on a thread of its own, as on two nodes.
    let (here, there) = ends(104, true);
    let other_is_over = Arc::clone(&is_over);
    let other = thread::spawn(move || end(there, here, &other_is_over));
    let timer = Arc::clone(&is_over);
    let watchdog = thread::spawn(move || {
        thread::sleep(Duration::from_secs(seconds));
        timer.store(true, Ordering::Relaxed);
    });
    let own_is_over = Arc::clone(&is_over);
    let own = thread::spawn(move || end(here, there, &own_is_over));
    let status = [own.join().unwrap(), other.join().unwrap()];
    watchdog.join().unwrap();
    for thread in busy {
        thread.join().unwrap();
    }
    for status in status {
        println!(
            "{seconds} s: {} packets in, {} out, gap {:?} in the mean, {:?} at most, {} downs",
            status.counts.received,
            status.counts.sent,
            status.receive_gap.unwrap(),
            status.receive_gap_max.unwrap(),
            status.counts.downs
        );
        assert_eq!(status.counts.downs, 0);
    }
}

/// Runs one end on a runtime as the node's.
fn end(local: SocketAddr, remote: SocketAddr, is_over: &AtomicBool) -> Status {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let node = Node::start();
        let watch = node.watch(QUICK, path(local, remote));
        while !is_over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        watch.status().unwrap()
    })
}
