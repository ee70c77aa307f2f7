//! Upstreams that answer, and say SERVFAIL: put in the way of a site's questions.
//!
//! Its router hands what the node asks the upstreams to this program, which answers from their
//! addresses (IP_TRANSPARENT, ip(7)); other sites reach the true ones.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Socket, Type};
use std::os::fd::AsFd as _;

use crate::message;
use crate::namespace;
use crate::place::{Site, UPSTREAM_PREFIXES, UPSTREAMS};
use crate::runner::Lab;

/// Any unused routing table.
const TABLE: &str = "131";
const SERVFAIL: u8 = 2;
const DNS_PORT: u16 = 53;
const TURN: Duration = Duration::from_millis(20);

/// Refuses until it is finished.
pub(super) struct Refuser {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Refuser {
    /// Puts itself in the way of a site's node. With `spares_apex`, questions for the root itself, as
    /// probes ask them, are answered without an error.
    pub(super) fn start(lab: &Lab, site: &Site, spares_apex: bool) -> Result<Self> {
        let sockets = namespace::inside(&lab.paths.namespace(site.router), || {
            UPSTREAMS
                .into_iter()
                .map(|address| open((address, DNS_PORT).into()))
                .collect::<Result<Vec<_>>>()
        })?;
        for address in UPSTREAMS {
            let address = address.to_string();
            let route = ["ip", "route", "replace", "local", &address, "dev", "lo"];
            lab.run(site.router, &[&route[..], &["table", TABLE]].concat())?;
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_over);
        let thread = std::thread::Builder::new()
            .name("refuser".to_owned())
            .spawn(move || answer(&sockets, spares_apex, &flag))?;
        divert(lab, site, "add")?;
        Ok(Self { is_over, thread })
    }

    /// Gets out of the way.
    pub(super) fn finish(self, lab: &Lab, site: &Site) -> Result<()> {
        divert(lab, site, "delete")?;
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("refuser panicked"))
    }
}

fn divert(lab: &Lab, site: &Site, verb: &str) -> Result<()> {
    for prefix in UPSTREAM_PREFIXES {
        let interface = site.router_interface;
        let rule = ["iif", interface, "to", prefix, "lookup", TABLE];
        lab.run(site.router, &[&["ip", "rule", verb], &rule[..]].concat())?;
    }
    Ok(())
}

fn open(address: SocketAddr) -> Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket
        .set_ip_transparent_v4(true)
        .context("IP_TRANSPARENT")?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn answer(sockets: &[UdpSocket], spares_apex: bool, is_over: &AtomicBool) {
    let mut buffer = [0; 2048];
    while !is_over.load(Ordering::Relaxed) {
        let mut ready: Vec<PollFd> = sockets
            .iter()
            .map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN))
            .collect();
        let turn = PollTimeout::try_from(TURN).unwrap_or(PollTimeout::ZERO);
        // Interrupted or not: what is there is taken.
        let _ = poll(&mut ready, turn);
        for socket in sockets {
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let query = buffer.get(..length).unwrap_or_default();
                // The name follows the header; that of the root is one octet.
                let is_apex = query.get(12) == Some(&0);
                let rcode = if is_apex && spares_apex { 0 } else { SERVFAIL };
                if let Some(answer) = message::refusal(query, rcode) {
                    // Who asked will ask again.
                    let _ = socket.send_to(&answer, from);
                }
            }
        }
    }
}
