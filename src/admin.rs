//! What the node tells about itself: HTTP, control socket, and the types that go outwards.

use std::net::SocketAddr;
use std::path::PathBuf;

/// What the admin thread is told by the configuration; already checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where `/metrics`, `/healthz`, `/readyz` and `/status` are served; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// The control socket; `None`: none.
    pub socket: Option<PathBuf>,
}
