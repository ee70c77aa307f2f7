//! The same in front of a real Unbound, where there is one.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sidestep::admin::status::{FaultClass, Level};

use crate::support::client::{Client, a};
use crate::support::node::{Site, own_address};
use crate::support::router::{Router, Said};
use crate::support::upstream::Upstream;
use crate::support::wait_until;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PORT: u16 = 5300;

/// A running Unbound that forwards everything; killed when dropped.
struct Unbound {
    child: Child,
    at: SocketAddr,
}

impl Unbound {
    /// `None`, with a word about it, where it is not installed.
    #[expect(clippy::print_stderr, reason = "a test that proves nothing says so")]
    fn start(site: &Site, upstream: SocketAddr) -> Option<Self> {
        let program = ["/usr/sbin/unbound", "/usr/local/sbin/unbound"];
        let Some(program) = program.iter().find(|path| fs::exists(path).unwrap()) else {
            eprintln!("SKIPPED: there is no unbound on this machine");
            return None;
        };
        let at = SocketAddr::from((own_address(), PORT));
        let file = site.path("unbound.conf");
        let configuration = format!(
            "server:\n  interface: {ip}@{PORT}\n  port: {PORT}\n  do-daemonize: no\n  \
             username: \"\"\n  chroot: \"\"\n  pidfile: \"\"\n  use-syslog: no\n  \
             directory: {folder:?}\n  access-control: 127.0.0.0/8 allow\n  \
             do-not-query-localhost: no\n  module-config: \"iterator\"\n  num-threads: 2\n\
             forward-zone:\n  name: \".\"\n  forward-addr: {up_ip}@{up_port}\n",
            ip = at.ip(),
            folder = site.path(""),
            up_ip = upstream.ip(),
            up_port = upstream.port(),
        );
        fs::write(&file, configuration).unwrap();
        let log = fs::File::create(site.path("unbound.log")).unwrap();
        let child = Command::new(program)
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let unbound = Self { child, at };
        let client = Client::new(at);
        wait_until("an answer of unbound", || {
            let answer = client.try_ask(&a("www.example."), Duration::from_millis(200));
            answer.is_some_and(|answer| answer.addresses() == [ADDRESS])
        });
        Some(unbound)
    }

    fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").arg("-c").arg(command).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn unbound_is_guarded_as_the_node_guards_itself() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[]);
    site.tables.clear();
    let Some(unbound) = Unbound::start(&site, upstream.address) else {
        return;
    };
    let names = "[\"*.one.example. A\", \"*.two.example. A\", \"*.three.example. A\"]";
    site.service_keys
        .push_str(&format!("target = \"{}\"\nnames = {names}\n", unbound.at));
    let router = Router::beside(&mut site, "9s");
    let node = site.start();
    node.wait_for_level(Level::Preferred);
    let (position, _) = router.wait_for(0, "a route", |said| matches!(said, Said::Announced(_)));

    upstream.set_silent(true);
    node.wait_for_level(Level::Backup);
    assert_eq!(node.service().class, Some(FaultClass::Shared));
    assert!(!router.said().contains(&Said::Withdrawn));
    upstream.set_silent(false);
    node.wait_for_level(Level::Preferred);

    let stopped = Instant::now();
    unbound.signal("STOP");
    let withdrawn = |said: &Said| *said == Said::Withdrawn;
    let (position, at) = router.wait_for(position, "a withdraw", withdrawn);
    let gap = at.saturating_duration_since(stopped);
    assert!(gap < Duration::from_secs(2), "{gap:?}");
    wait_until("a local fault", || {
        node.service().class == Some(FaultClass::Local)
    });
    unbound.signal("CONT");
    router.wait_for(position, "the route again", |said| {
        matches!(said, Said::Announced(_))
    });
    let position = router.said().len();
    unbound.signal("KILL");
    router.wait_for(position, "another withdraw", withdrawn);
}
