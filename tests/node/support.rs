//! What the tests are made of: a node, a client, an upstream, a router.

use std::thread;
use std::time::{Duration, Instant};

pub(crate) mod client;
pub(crate) mod garbage;
pub(crate) mod http;
pub(crate) mod node;
pub(crate) mod router;
pub(crate) mod upstream;

/// Everything that has to happen happens long before this.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Looks every few milliseconds until there is something to return.
///
/// # Panics
/// When [`LIMIT`] has passed.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "in {LIMIT:?} never came: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// [`wait_for`] a condition.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}
