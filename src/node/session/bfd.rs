//! BFD beside a BGP session: what it says is passed on, and it ends after the session.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::bfd::driver::{PathState, Watch};
use crate::bfd::path::{Hops, Path};
use crate::bgp::driver::Command;
use crate::bgp::peer::{PeerParameters, PeerStatus};
use crate::bgp::{BfdState, Ttl};

/// A stop does not wait longer than this until a neighbour with a long detection time knows that
/// BFD ends here.
const FAREWELL: Duration = Duration::from_secs(3);

/// What is to be watched for a session on these terms.
pub(in crate::node) fn path(parameters: &PeerParameters) -> Path {
    let hops = match parameters.security.ttl {
        Ttl::Direct | Ttl::Security => Hops::One,
        Ttl::Multihop(ttl) => Hops::within(ttl),
    };
    Path::new(parameters.remote, parameters.local, hops)
}

/// Passes on what BFD and the session have to tell each other, as long as the session lasts.
pub(super) async fn accompany(
    watch: Option<Rc<Watch>>,
    commands: mpsc::WeakSender<Command>,
    mut status: watch::Receiver<PeerStatus>,
) -> Infallible {
    let Some(watch) = watch else {
        return std::future::pending().await;
    };
    let mut reports = watch.reports();
    let (mut losses, mut is_held) = (0, false);
    loop {
        tokio::select! {
            Ok(()) = reports.changed() => {
                let report = *reports.borrow_and_update();
                let has_recovered = report.path == PathState::Up && report.losses > losses;
                losses = report.losses;
                if has_recovered {
                    tell(&commands, BfdState::Down);
                }
                tell(&commands, state(report.path));
            }
            Ok(()) = status.changed() => {
                // A neighbour that cannot be told that the routes are gone must not believe that
                // this node is well, until its lease is good and the session may come back.
                let is_dead_man = status.borrow_and_update().is_dead_man;
                if is_held != is_dead_man {
                    is_held = is_dead_man;
                    watch.hold_down(is_held);
                }
            }
            else => return std::future::pending().await,
        }
    }
}

/// The session is closed: only now may the neighbour hear that BFD is switched off, for FRR 8.4
/// takes that for a fault.
pub(super) async fn take_leave(watch: Option<Rc<Watch>>) {
    if let Some(watch) = watch {
        watch.admin_down();
        // If it takes longer, the neighbour will find out by itself.
        let _ = timeout(FAREWELL, watch.parted()).await;
    }
}

/// The channel ends with the session. It has room, for a session takes orders before all else.
fn tell(commands: &mpsc::WeakSender<Command>, state: BfdState) {
    let is_taken = commands
        .upgrade()
        .is_none_or(|commands| commands.try_send(Command::Bfd(state)).is_ok());
    if !is_taken {
        tracing::warn!(?state, "session takes no word of bfd");
    }
}

const fn state(path: PathState) -> BfdState {
    match path {
        PathState::Up => BfdState::Up,
        PathState::Down => BfdState::Down,
        PathState::AdminDown => BfdState::AdminDown,
    }
}

#[cfg(test)]
mod tests;
