//! A node as a child process, with a configuration and a loopback address of its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use sidestep::admin::Status;
use sidestep::admin::status::{Level, ServiceFamily};
use tempfile::TempDir;

use super::http;
use super::{wait_for, wait_until};

const SERVICE_PORT: u16 = 5300;
const ADMIN_PORT: u16 = 9153;
/// What the node is called, unless a test says otherwise.
pub(crate) const NAME: &str = "node-under-test";

/// A loopback address that no other test uses, here or in a test process that runs beside this.
pub(crate) fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(next < 255, "more addresses than one network has");
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 100 + high % 100, low, next)
}

/// Where a node lives, with what its configuration says.
pub(crate) struct Site {
    /// Of its service.
    pub(crate) anycast: Ipv4Addr,
    /// Of its BGP session and its admin port.
    pub(crate) unicast: Ipv4Addr,
    /// Where clients ask.
    pub(crate) service: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) socket: PathBuf,
    /// `node.state`.
    pub(crate) state: String,
    /// Lines of `[[service]]`; the first ones give name, port and address.
    pub(crate) service_keys: String,
    /// Lines of `[dns]`.
    pub(crate) dns: String,
    /// `[[forward]]` and everything else that is a table of its own.
    pub(crate) tables: String,
    /// Lines of `[health]`.
    pub(crate) health: String,
    folder: TempDir,
}

impl Site {
    /// With one worker, loopback clients and these upstreams for the root.
    pub(crate) fn new(upstreams: &[SocketAddr]) -> Self {
        let (anycast, unicast) = (own_address(), own_address());
        let folder = tempfile::tempdir().unwrap();
        let mut site = Self {
            anycast,
            unicast,
            service: SocketAddr::from((anycast, SERVICE_PORT)),
            admin: SocketAddr::from((unicast, ADMIN_PORT)),
            socket: folder.path().join("control.sock"),
            state: "none".to_owned(),
            service_keys: format!("addresses = [\"{anycast}\"]\n"),
            dns: "workers = 1\nallow = [\"loopback\"]\n".to_owned(),
            tables: String::new(),
            health: "interval = \"100ms\"\n".to_owned(),
            folder,
        };
        site.forward(".", upstreams);
        site
    }

    /// Adds a `[[forward]]`.
    pub(crate) fn forward(&mut self, zone: &str, upstreams: &[SocketAddr]) {
        let upstreams: Vec<_> = upstreams.iter().map(SocketAddr::to_string).collect();
        let line = format!("[[forward]]\nzone = \"{zone}\"\nupstreams = {upstreams:?}\n");
        self.tables.push_str(&line);
    }

    /// The configuration as text.
    pub(crate) fn configuration(&self) -> String {
        let Self {
            service_keys,
            dns,
            tables,
            health,
            admin,
            socket,
            state,
            ..
        } = self;
        format!(
            "[node]\nname = \"{NAME}\"\nrouter_id = \"10.0.0.1\"\nstate = \"{state}\"\n\
             [[service]]\nname = \"resolver\"\nport = {SERVICE_PORT}\ninterface = \"none\"\n\
             {service_keys}[dns]\n{dns}{tables}[health]\n{health}\
             [admin]\nlisten = \"{admin}\"\nsocket = {socket:?}\n"
        )
    }

    /// A path in the folder that goes with the site.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `sidestep run` with this configuration.
    pub(crate) fn command(&self) -> Command {
        let mut command = sidestep();
        command.arg("run").arg("--config").arg(self.write());
        command
    }

    /// Starts a node and returns at once.
    pub(crate) fn launch(&self) -> Node {
        Node::spawn(self.command(), self.path("log"), self.admin)
    }

    /// Starts a node and waits until it is ready.
    pub(crate) fn start(&self) -> Node {
        self.ready(self.launch())
    }

    /// [`Self::start`] with so many descriptors at most: now, and for good.
    pub(crate) fn start_with_descriptors(&self, soft: u32, hard: u32) -> Node {
        let mut command = Command::new("/bin/sh");
        let script =
            format!("ulimit -Sn {soft}; ulimit -Hn {hard}; exec \"$0\" run --config \"$1\"");
        let binary = env!("CARGO_BIN_EXE_sidestep");
        command.arg("-c").arg(script).arg(binary).arg(self.write());
        command.env_clear().stdin(Stdio::null());
        self.ready(Node::spawn(command, self.path("log"), self.admin))
    }

    fn ready(&self, node: Node) -> Node {
        wait_until("ready", || {
            http::get(self.admin, "/readyz").is_ok_and(|(code, _)| code == 200)
        });
        node
    }

    fn write(&self) -> PathBuf {
        let file = self.path("sidestep.toml");
        fs::write(&file, self.configuration()).unwrap();
        file
    }

    /// Runs `sidestep` with this site's socket.
    pub(crate) fn control(&self, arguments: &[&str]) -> Output {
        let mut command = sidestep();
        command.args(arguments).arg("--socket").arg(&self.socket);
        command.output().unwrap()
    }
}

/// The binary, in an empty environment.
pub(crate) fn sidestep() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidestep"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// A running node; killed when dropped.
pub(crate) struct Node {
    child: Child,
    log: PathBuf,
    admin: SocketAddr,
}

impl Node {
    /// Starts `command`; its log is added to a file.
    pub(crate) fn spawn(mut command: Command, log: PathBuf, admin: SocketAddr) -> Self {
        let file = fs::File::options().create(true).append(true).open(&log);
        let child = command
            .stdout(Stdio::null())
            .stderr(file.unwrap())
            .spawn()
            .unwrap();
        Self { child, log, admin }
    }

    /// Sends `KILL`, `STOP`, `CONT`, `TERM` or the like.
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").arg("-c").arg(command).status();
        assert!(status.unwrap().success());
    }

    /// Waits until the process has ended by itself; its exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        wait_for("the end of the process", || self.child.try_wait().unwrap()).code()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// `/status`, as soon as there is one.
    #[track_caller]
    pub(crate) fn status(&self) -> Status {
        let body = wait_for("a status", || {
            let (code, body) = http::get(self.admin, "/status").ok()?;
            (code == 200).then_some(body)
        });
        serde_json::from_str(&body).unwrap()
    }

    /// The only family of the only service.
    pub(crate) fn service(&self) -> ServiceFamily {
        self.status().services[0].families[0].clone()
    }

    /// Waits until the service is at `level`.
    #[track_caller]
    pub(crate) fn wait_for_level(&self, level: Level) {
        wait_until(&format!("{level:?}"), || self.service().level == level);
    }

    /// The value of one sample of `/metrics`, written out with its labels.
    #[track_caller]
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        self.find_metric(sample)
            .unwrap_or_else(|| panic!("no {sample}"))
    }

    /// The same, for one that may not be there yet.
    pub(crate) fn find_metric(&self, sample: &str) -> Option<f64> {
        let (_, text) = http::get(self.admin, "/metrics").unwrap();
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        Some(value?.parse().unwrap())
    }

    /// A file of the process below `/proc`.
    pub(crate) fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }

    /// Memory that it has in use, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let text = self.proc("status");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.unwrap().trim().trim_end_matches(" kB");
        number.parse().unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            tell(&self.log);
        }
    }
}

#[expect(clippy::print_stderr, reason = "a failed test shows the node's log")]
fn tell(log: &Path) {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let tail = &lines[lines.len().saturating_sub(40)..];
    eprintln!("the node's log ends with:\n{}", tail.join("\n"));
}
