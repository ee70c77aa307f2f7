//! The configuration: from files and environment to settings that the node may run with.

use std::path::PathBuf;

use crate::announce::ServiceSettings;
use crate::{admin, bgp, dns, health};

/// A configuration that has passed every check.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name; `auto` is already replaced by the host name.
    pub node_name: String,
    /// Each `[[service]]`.
    pub services: Vec<ServiceSettings>,
    /// The query path.
    pub dns: dns::Settings,
    /// `None` without any `[[bgp.neighbor]]`: nothing is announced.
    pub bgp: Option<bgp::Settings>,
    /// Probes, fall and rise, drain.
    pub health: health::Settings,
    /// HTTP and control socket.
    pub admin: admin::Settings,
    /// Files that were read, in order.
    pub sources: Vec<PathBuf>,
}
