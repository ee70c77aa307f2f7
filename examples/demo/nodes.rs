//! Three real nodes as child processes, each with a configuration file of its own.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The shared address: every site answers on it, each at a port of its own, for all sites are on
/// one machine here.
pub(crate) const ANYCAST: Ipv4Addr = Ipv4Addr::new(127, 53, 53, 53);
/// A node that has vanished without closing its session is given up after this time.
pub(crate) const HOLD_TIME_S: u64 = 3;
const ASN: u32 = 65053;
const FIRST_PORT: u16 = 5301;

/// One site.
pub(crate) struct Node {
    pub(crate) name: String,
    /// The unicast address of its BGP session, and so the next hop of its route.
    pub(crate) unicast: Ipv4Addr,
    /// Where the forwarder delivers packets for [`ANYCAST`] whose next hop is `unicast`.
    pub(crate) service: SocketAddr,
    configuration: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

/// What site `index` is called.
pub(crate) fn name(index: u8) -> String {
    format!("site{index}")
}

/// Where the BGP session of site `index` comes from.
pub(crate) fn unicast(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 53, index)
}

impl Node {
    /// Site `index` (1 to 9), with its files in `folder`.
    pub(crate) fn new(
        index: u8,
        folder: &Path,
        upstream: SocketAddr,
        router: SocketAddr,
    ) -> io::Result<Self> {
        let (name, unicast) = (name(index), unicast(index));
        let port = FIRST_PORT + u16::from(index) - 1;
        let configuration = folder.join(format!("{name}.toml"));
        fs::write(
            &configuration,
            format!(
                r#"[node]
name = "{name}"
router_id = "10.0.0.{index}"
state = "none"
[[service]]
name = "resolver"
addresses = ["{ANYCAST}"]
port = {port}
interface = "none"
[dns]
workers = 1
allow = ["loopback"]
[[forward]]
zone = "."
upstreams = ["{upstream}"]
[bgp]
asn = {ASN}
hold_time = "{HOLD_TIME_S}s"
[[bgp.neighbor]]
address = "{}"
port = {}
source = "{unicast}"
asn = "external"
[health]
drain_wait = "1s"
linger = "500ms"
[admin]
listen = "none"
socket = "none"
"#,
                router.ip(),
                router.port(),
            ),
        )?;
        let log = folder.join(format!("{name}.log"));
        let service = SocketAddr::from((ANYCAST, port));
        Ok(Self {
            name,
            unicast,
            service,
            configuration,
            log,
            child: None,
        })
    }

    /// Starts the process: this very program, as a node.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let child = Command::new(std::env::current_exe()?)
            .arg(crate::NODE_ARGUMENT)
            .arg(&self.configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// `KILL`, `STOP`, `CONT` or `TERM`.
    pub(crate) fn signal(&self, name: &str) -> io::Result<()> {
        let Some(child) = &self.child else {
            return Ok(());
        };
        let status = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} {}", child.id()))
            .stdin(Stdio::null())
            .status()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other("the process is gone"))
        }
    }

    /// Waits for a process that is about to end; its exit code, if it has one.
    pub(crate) fn wait(&mut self) -> io::Result<Option<i32>> {
        match self.child.take() {
            Some(mut child) => Ok(child.wait()?.code()),
            None => Ok(None),
        }
    }

    /// What the node logged last, for a failure's message.
    pub(crate) fn last_log_lines(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines
            .get(lines.len().saturating_sub(10)..)
            .unwrap_or_default()
            .join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; either way nothing is left behind.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
