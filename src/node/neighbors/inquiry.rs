//! Asks the kernel about neighbours in a task of its own: however slow it is, neither a probe nor a
//! withdrawal waits for it.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::REFRESH_DELAY;
use crate::bgp::{NeighborAddress, NeighborSettings};
use crate::node::session::Bell;
use crate::os::gateway::{Questions, View};
use crate::os::netlink::{Netlink, NetlinkError};

/// The kernel's answer may be long, for anybody on a link may fill its tables, and reading it takes time
/// from sessions: the longer it took, the longer it is left alone. See [`rest_after`].
const REST_FACTOR: u32 = 4;
const REST_MAX: Duration = Duration::from_secs(2);

/// One question at a time.
pub(super) struct Inquiry {
    netlink: Netlink,
    services: Vec<IpAddr>,
    questions: Questions,
    answer: Option<oneshot::Receiver<Result<View, NetlinkError>>>,
    is_outdated: bool,
}

/// What came of a question.
pub(super) enum Answer {
    /// The kernel's.
    Told(Result<View, NetlinkError>),
    /// The task has ended without one.
    Lost,
}

impl Inquiry {
    pub(super) fn new(
        netlink: Netlink,
        services: Vec<IpAddr>,
        neighbors: &[NeighborSettings],
        needs_identifier: bool,
    ) -> Self {
        let named = neighbors
            .iter()
            .filter_map(|neighbor| match neighbor.address {
                NeighborAddress::Ip(address) => Some(address),
                NeighborAddress::DefaultGateway
                | NeighborAddress::LinkLocal { .. }
                | NeighborAddress::Interface(_) => None,
            });
        let mut addresses = neighbors.iter().map(|neighbor| &neighbor.address);
        let is_unnumbered = |address| matches!(address, &NeighborAddress::Interface(_));
        let has_gateway = neighbors
            .iter()
            .any(|neighbor| neighbor.address == NeighborAddress::DefaultGateway);
        Self {
            netlink,
            services,
            questions: Questions {
                neighbors: named.collect(),
                with_routers: addresses.any(is_unnumbered),
                with_defaults: needs_identifier || has_gateway,
            },
            answer: None,
            is_outdated: false,
        }
    }

    /// Begins to ask; `changed` is notified when there is an answer. While one is still waited for,
    /// it will be [`Self::is_outdated`].
    pub(super) fn begin(&mut self, changed: &Rc<Notify>) {
        self.is_outdated = self.answer.is_some();
        if self.is_outdated {
            return;
        }
        let (told, answer) = oneshot::channel();
        self.answer = Some(answer);
        let bell = Bell(Rc::clone(changed));
        let (netlink, services) = (self.netlink.clone(), self.services.clone());
        let questions = self.questions.clone();
        tokio::task::spawn_local(async move {
            let _bell = bell;
            // Who asked may be gone.
            let _ = told.send(View::look(&netlink, &services, &questions).await);
        });
    }

    /// The answer, once.
    pub(super) fn take(&mut self) -> Option<Answer> {
        let answer = match self.answer.as_mut()?.try_recv() {
            Ok(answer) => Answer::Told(answer),
            Err(oneshot::error::TryRecvError::Empty) => return None,
            Err(oneshot::error::TryRecvError::Closed) => Answer::Lost,
        };
        self.answer = None;
        Some(answer)
    }

    /// Whether something has changed after the question of the last answer; asked once.
    pub(super) fn is_outdated(&mut self) -> bool {
        std::mem::take(&mut self.is_outdated)
    }
}

/// How long to leave the kernel alone when its answer took so long; the usual one is no matter.
pub(super) fn rest_after(answer: Duration) -> Duration {
    match answer <= REFRESH_DELAY {
        true => Duration::ZERO,
        false => answer.saturating_mul(REST_FACTOR).min(REST_MAX),
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::*;

    /// The routing thread renews a lease of one second meanwhile.
    #[tokio::test(start_paused = true)]
    async fn a_kernel_that_does_not_answer_is_waited_for_by_nobody() {
        // Nobody works on the connection: no question is ever sent.
        let (netlink, _connection) = Netlink::connect().unwrap();
        let mut inquiry = Inquiry::new(netlink, Vec::new(), &[], false);
        let changed = Rc::new(Notify::new());
        let asking = async {
            inquiry.begin(&changed);
            assert!(inquiry.take().is_none());
            // What happens meanwhile is a reason to ask again, and no second question now.
            inquiry.begin(&changed);
            changed.notified().await;
            assert!(matches!(inquiry.take(), Some(Answer::Told(Err(_)))));
            assert!(inquiry.is_outdated());
            assert!(!inquiry.is_outdated());
            assert!(inquiry.take().is_none());
            inquiry.begin(&changed);
            assert!(!inquiry.is_outdated());
        };
        LocalSet::new().run_until(asking).await;
    }

    /// Own rule: a link that is flooded with router advertisements makes answers long, not sessions late.
    #[test]
    fn a_kernel_whose_answers_are_long_is_asked_seldom() {
        let ms = Duration::from_millis;
        for (answer, rest) in [
            (0, 0),
            (20, 0),
            (21, 84),
            (100, 400),
            (500, 2000),
            (9000, 2000),
        ] {
            assert_eq!(rest_after(ms(answer)), ms(rest));
        }
    }
}
