//! Routers that send a million prefixes, or one octet a second, or never read, beside a good one.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sidestep::admin::status::{Level, Neighbor, SessionState};

use crate::support::node::{Node, Site, own_address};
use crate::support::router::{Path, Router, Said};
use crate::support::upstream::Upstream;
use crate::support::{http, wait_until};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PORT: u16 = 1790;
/// What a hostile router may cost: buffers of sockets and of one turn.
const GROWTH_MAX_KIB: u64 = 4 * 1024;
const MILLION: u32 = 1_000_000;

const KEEPALIVE: [u8; 3] = [0, 19, 4];
/// AS 65000 with a hold time of 90 s, both families, route refresh, four-octet AS.
const OPEN: [u8; 35] = [
    0, 51, 1, 4, 0xFD, 0xE8, 0, 90, 10, 0, 0, 66, 22, 2, 20, 1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1,
    65, 4, 0, 0, 0xFD, 0xE8, 2, 0,
];
/// For IPv4.
const REFRESH: [u8; 7] = [0, 23, 5, 0, 1, 0, 1];

/// `tail` is everything after the marker.
fn message(tail: &[u8]) -> Vec<u8> {
    [&[0xFF; 16], tail].concat()
}

/// Announces the thousand /24 from `first` on.
fn thousand_prefixes(first: u32) -> Vec<u8> {
    let attributes = [
        0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xFD, 0xE8, 0x40, 3, 4, 10, 0, 0, 66,
    ];
    let mut body = vec![0, 0, 0, 20];
    body.extend(attributes);
    for prefix in first..first + 1000 {
        let [_, a, b, c] = (prefix + 0x0001_0000).to_be_bytes();
        body.extend([24, a, b, c]);
    }
    let length = u16::try_from(19 + body.len()).unwrap().to_be_bytes();
    message(&[&length, [2].as_slice(), &body].concat())
}

/// A router in a thread of its own; it stops with the test process.
struct Hostile {
    address: Ipv4Addr,
    connections: Arc<AtomicU64>,
}

impl Hostile {
    /// After both OPENs `behave` has the session; an error ends it, and the next one begins.
    fn beside(site: &mut Site, behave: fn(&mut TcpStream) -> std::io::Result<()>) -> Self {
        let address = own_address();
        let listener = TcpListener::bind((address, PORT)).unwrap();
        // What is accepted inherits it: a window that is soon full.
        let socket = socket2::SockRef::from(&listener);
        socket.set_recv_buffer_size(4096).unwrap();
        site.tables.push_str(&format!(
            "[[bgp.neighbor]]\naddress = \"{address}\"\nport = {PORT}\nsource = \"{}\"\n\
             asn = \"external\"\n",
            site.unicast
        ));
        let connections = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::Relaxed);
                let mut stream = stream.unwrap();
                let opening = [message(&OPEN), message(&KEEPALIVE)].concat();
                // Whatever ends it: the node may come again.
                let _ = stream
                    .write_all(&opening)
                    .and_then(|()| behave(&mut stream));
            }
        });
        Self {
            address,
            connections,
        }
    }

    fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// What the node says of it.
    fn seen_by(&self, node: &Node) -> Neighbor {
        let mut neighbors = node.status().neighbors.into_iter();
        let address = self.address.to_string();
        neighbors.find(|known| known.address == address).unwrap()
    }

    fn received(&self, node: &Node, kind: &str) -> f64 {
        let sample = format!(
            "sidestep_bgp_messages_total{{direction=\"received\",neighbor=\"{}\",type=\"{kind}\"}}",
            self.address
        );
        node.find_metric(&sample).unwrap_or_default()
    }
}

fn flood(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut reader = stream.try_clone()?;
    thread::spawn(move || while reader.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {});
    for first in (0..MILLION).step_by(1000) {
        stream.write_all(&thousand_prefixes(first))?;
    }
    loop {
        stream.write_all(&message(&KEEPALIVE))?;
        thread::sleep(Duration::from_secs(1));
    }
}

fn trickle(stream: &mut TcpStream) -> std::io::Result<()> {
    for octet in thousand_prefixes(0) {
        stream.write_all(&[octet])?;
        thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

fn never_read(stream: &mut TcpStream) -> std::io::Result<()> {
    let asking = [message(&REFRESH).repeat(100), message(&KEEPALIVE)].concat();
    loop {
        stream.write_all(&asking)?;
        thread::sleep(Duration::from_millis(10));
    }
}

/// A session that is up, and one change of routes over it that takes no longer than usual.
fn drain_is_heard(site: &Site, node: &Node, router: &Router) {
    node.wait_for_level(Level::Preferred);
    let skip = router.said().len();
    let leaving = Path::leaving(site.unicast);
    let ordered = Instant::now();
    assert!(site.control(&["drain"]).status.success());
    let (_, heard) = router.wait_for(skip, "the drain", |said| {
        *said == Said::Announced(leaving.clone())
    });
    let took = heard.saturating_duration_since(ordered);
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(
        !router
            .said()
            .iter()
            .any(|said| matches!(said, Said::Down(_)))
    );
}

/// Own rule: nothing is imported, so a million prefixes leave nothing behind.
#[test]
fn a_million_prefixes_cost_no_memory_and_no_other_session() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let router = Router::beside(&mut site, "9s");
    let hostile = Hostile::beside(&mut site, flood);
    let node = site.start();
    router.wait_for_path(0, &Path::preferred(site.unicast));
    // The first tenth brings the buffers to their size.
    wait_until("many prefixes", || {
        hostile.received(&node, "update") > 100.0
    });
    let before = node.resident_kib();
    wait_until("a million prefixes", || {
        hostile.received(&node, "update") >= 1000.0
    });
    let grown = node.resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_MAX_KIB, "grown by {grown} KiB");
    assert_eq!(hostile.seen_by(&node).state, SessionState::Established);
    drain_is_heard(&site, &node, &router);
    assert_eq!(hostile.connections(), 1);
    assert_eq!(http::get(site.admin, "/healthz").unwrap().0, 200);
}

/// RFC 4271 §6.5: half a message keeps no session alive. A router that never reads may stay as long as
/// the few routes fit into its window; neither costs anybody else anything.
#[test]
fn routers_that_trickle_or_never_read_cost_no_memory_and_no_other_session() {
    let upstream = Upstream::start(ADDRESS);
    let mut site = Site::new(&[upstream.address]);
    let router = Router::beside(&mut site, "3s");
    let slow = Hostile::beside(&mut site, trickle);
    let deaf = Hostile::beside(&mut site, never_read);
    let node = site.start();
    router.wait_for_path(0, &Path::preferred(site.unicast));
    let refreshes = || deaf.received(&node, "route_refresh");
    wait_until("many refreshes", || refreshes() > 20_000.0);
    let before = node.resident_kib();
    wait_until("the slow one's return", || slow.connections() >= 3);
    wait_until("many more refreshes", || refreshes() > 40_000.0);
    let grown = node.resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_MAX_KIB, "grown by {grown} KiB");
    let log = node.log();
    assert!(log.contains("4/0 hold timer expired"), "{log}");
    drain_is_heard(&site, &node, &router);
}
