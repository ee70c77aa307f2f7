//! A forwarder and what it needs around it.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot::{self, Receiver};
use tokio::task::LocalSet;
use tokio::time::{Instant, timeout};

use super::super::super::DialectSettings;
use super::super::super::client::Asker;
use super::super::super::forward::{Failure, Forward, Outcome, Progress};
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

/// What somebody who asked was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Answered(Vec<u8>),
    NotYet,
    Failed(Failure),
}

/// A forwarder for the root zone alone, polled by a task of its own.
pub(super) struct World {
    pub(super) upstreams: Arc<Upstreams>,
    pub(super) forwarder: Rc<RefCell<Forwarder<oneshot::Sender<Told>>>>,
    pub(super) done: Rc<RefCell<Vec<Told>>>,
}

pub(super) fn world_within(limits: Limits, addresses: &[SocketAddr]) -> World {
    world_speaking(DialectSettings::default(), limits, addresses)
}

pub(super) fn world_speaking(
    dialect: DialectSettings,
    limits: Limits,
    addresses: &[SocketAddr],
) -> World {
    let zone = ResolvedZone {
        dialect,
        zone: vec![0],
        zone_text: ".".to_owned(),
        critical: true,
        upstreams: addresses.to_vec(),
        ..ResolvedZone::default()
    };
    let upstreams = Arc::new(Upstreams::new(&[zone], Instant::now().into_std()));
    let forwarder = Rc::new(RefCell::new(Forwarder::new(Arc::clone(&upstreams), limits)));
    let world = World {
        upstreams,
        forwarder: Rc::clone(&forwarder),
        done: Rc::default(),
    };
    let done = Rc::clone(&world.done);
    tokio::task::spawn_local(poll_fn(move |cx| {
        let now = Instant::now().into_std();
        let progress = forwarder
            .borrow_mut()
            .poll(cx, now, &mut |_, outcome, waiters| {
                let told = match outcome {
                    Outcome::Answered(message) => Told::Answered(message.to_vec()),
                    Outcome::NotYet => Told::NotYet,
                    Outcome::Failed(failure) => Told::Failed(failure),
                };
                for waiter in waiters {
                    let _ = waiter.send(told.clone());
                }
                done.borrow_mut().push(told);
            });
        if progress == Progress::More {
            cx.waker().wake_by_ref();
        }
        Poll::<()>::Pending
    }));
    world
}

pub(super) fn world(addresses: &[SocketAddr]) -> World {
    world_within(patient(), addresses)
}

/// No question ends by itself.
pub(super) fn patient() -> Limits {
    Limits {
        deadline: FAR,
        ..Limits::default()
    }
}

impl World {
    /// Asks and sends; what is told comes later.
    pub(super) fn begin(&self, label: &str) -> Receiver<Told> {
        self.begin_until(label, None)
    }

    pub(super) fn begin_until(&self, label: &str, give_up_at: Option<Instant>) -> Receiver<Told> {
        let (waiter, told) = oneshot::channel();
        let (now, give_up_at) = (Instant::now().into_std(), give_up_at.map(Instant::into_std));
        let mut forwarder = self.forwarder.borrow_mut();
        if let Err((failure, waiter)) =
            forwarder.ask(&key(label), Asker::default(), waiter, give_up_at, now)
        {
            waiter.send(Told::Failed(failure)).unwrap();
        }
        forwarder.flush(now);
        told
    }

    pub(super) async fn ask(&self, label: &str) -> Told {
        timeout(FAR * 2, self.begin(label)).await.unwrap().unwrap()
    }

    /// The RCODE of the reply.
    pub(super) async fn rcode(&self, label: &str) -> u8 {
        match self.ask(label).await {
            Told::Answered(message) => message[3] & 0x0f,
            other => panic!("{other:?}"),
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
