//! A forwarder and what it needs around it.

use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::{Instant, timeout};

use super::super::super::forward::{Forward, Outcome};
use super::super::super::key::Key;
use super::super::super::upstream::{FailureKind, ResolvedZone, UpstreamIndex, Upstreams};
use super::super::{Forwarder, Limits};

/// No test should come near it.
pub(super) const FAR: Duration = Duration::from_secs(20);

pub(super) fn key(label: &str) -> Key {
    let mut name = vec![u8::try_from(label.len()).unwrap()];
    name.extend_from_slice(label.as_bytes());
    name.extend_from_slice(b"\x07example\0");
    Key::new(&name, 1, 1, false, false).unwrap()
}

/// A forwarder for the root zone alone.
pub(super) struct World {
    pub(super) upstreams: Arc<Upstreams>,
    pub(super) forwarder: Forwarder,
    pub(super) done: Rc<RefCell<Vec<Outcome>>>,
}

pub(super) fn world_within(limits: Limits, addresses: &[SocketAddr]) -> World {
    let zone = ResolvedZone {
        zone: vec![0],
        zone_text: ".".to_owned(),
        critical: true,
        upstreams: addresses.to_vec(),
        unresolved: Vec::new(),
    };
    let upstreams = Arc::new(Upstreams::new(&[zone], Instant::now().into_std()));
    let done = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&done);
    let forwarder = Forwarder::new(
        Arc::clone(&upstreams),
        move |_, outcome| log.borrow_mut().push(outcome.clone()),
        limits,
    );
    World {
        upstreams,
        forwarder,
        done,
    }
}

pub(super) fn world(addresses: &[SocketAddr]) -> World {
    world_within(
        Limits {
            deadline: FAR,
            ..Limits::default()
        },
        addresses,
    )
}

impl World {
    pub(super) async fn ask(&self, label: &str) -> Rc<Outcome> {
        timeout(FAR * 2, self.forwarder.ask(&key(label)))
            .await
            .unwrap()
    }

    /// The RCODE of the reply.
    pub(super) async fn rcode(&self, label: &str) -> u8 {
        match &*self.ask(label).await {
            Outcome::Answered(reply) => reply.message[3] & 0x0f,
            Outcome::Failed(failure) => panic!("{failure:?}"),
        }
    }

    pub(super) fn upstream(&self, position: usize) -> UpstreamIndex {
        self.upstreams.indexes().nth(position).unwrap()
    }

    pub(super) fn failures(&self, position: usize, kind: FailureKind) -> u64 {
        self.upstreams.failures(self.upstream(position), kind)
    }
}

/// Runs the test inside a `LocalSet`.
pub(super) fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test);
}

pub(super) async fn until(condition: impl Fn() -> bool) {
    timeout(FAR, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}
