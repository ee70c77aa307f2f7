//! BFD beside a BGP session: what it says is passed on, and it ends after the session.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::bfd;
use crate::bfd::driver::{Driver, PathState, Watch};
use crate::bfd::path::{Hops, Path};
use crate::bgp::connection::State;
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

/// A neighbour that has spoken BFD for so long without BGP may be waiting for BFD first.
const STRICT_AFTER: Duration = Duration::from_secs(10);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Begins to watch a path, and stays Down until [`accompany`] sees the session Established: FRR 8.4
/// makes its BFD session anew then, and closes BGP at once if the one before was Up.
pub(in crate::node) fn begin(
    driver: &Driver,
    settings: &bfd::Settings,
    parameters: &PeerParameters,
) -> Watch {
    let watch = driver.watch(settings, path(parameters), parameters.name());
    watch.hold_down(true);
    watch
}

/// Passes on what BFD and the session have to tell each other, as long as the session lasts.
pub(super) async fn accompany(
    watch: Option<Rc<Watch>>,
    commands: mpsc::WeakSender<Command>,
    mut status: watch::Receiver<PeerStatus>,
    is_leaving: Rc<Cell<bool>>,
) -> Infallible {
    let Some(watch) = watch else {
        return std::future::pending().await;
    };
    let mut reports = watch.reports();
    let (mut losses, mut is_held, mut alone) = (0, true, Duration::ZERO);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = looks.tick(), if is_held => {
                let status = status.borrow();
                let is_heard = watch.status().is_some_and(|own| own.remote_discriminator.is_some());
                alone = if is_heard && !status.is_dead_man { alone + LOOK } else { Duration::ZERO };
                if alone >= STRICT_AFTER {
                    is_held = false;
                    watch.hold_down(false);
                }
            }
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
                let status = status.borrow_and_update();
                if status.state == State::Established {
                    alone = Duration::ZERO;
                }
                // A session that says goodbye hears AdminDown afterwards, and no fault before.
                let is_ours = is_to_be_held(&status, alone);
                if is_held != is_ours && !is_leaving.get() {
                    is_held = is_ours;
                    watch.hold_down(is_held);
                }
            }
            else => return std::future::pending().await,
        }
    }
}

/// A neighbour that cannot be told that the routes are gone must not believe that this node is well,
/// until its lease is good and the session may come back.
fn is_to_be_held(status: &PeerStatus, alone: Duration) -> bool {
    let may_be_first = status.state == State::Established || alone >= STRICT_AFTER;
    status.is_dead_man || !may_be_first
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
pub(super) mod tests;
