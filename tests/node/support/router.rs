//! A router that notes what its one neighbour says: the session code of this crate, listening.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use sidestep::bgp::connection::End;
use sidestep::bgp::driver::{self, Notice, PeerChannels, RouteTable};
use sidestep::bgp::peer::{PeerParameters, PeerStatus};
use sidestep::bgp::{GRACEFUL_SHUTDOWN, listener, metrics::Metrics};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use super::node::Site;
use super::wait_for;

/// The node's AS.
pub(crate) const NODE_ASN: u32 = 65053;
const ASN: u32 = 65000;
const PORT: u16 = 1790;

/// What the neighbour has said about its service address, or what became of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Established,
    Announced(Path),
    Withdrawn,
    /// The session is over.
    Down(End),
}

/// The attributes that make a path more or less attractive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) asns: Vec<u32>,
    pub(crate) med: Option<u32>,
    pub(crate) communities: Vec<u32>,
    pub(crate) next_hop: Option<IpAddr>,
}

impl Path {
    /// What a node at level `preferred` announces from `next_hop`.
    pub(crate) fn preferred(next_hop: Ipv4Addr) -> Self {
        Self {
            asns: vec![NODE_ASN],
            med: None,
            communities: Vec::new(),
            next_hop: Some(next_hop.into()),
        }
    }

    /// The same at level `backup`.
    pub(crate) fn backup(next_hop: Ipv4Addr) -> Self {
        Self {
            asns: vec![NODE_ASN; 4],
            med: Some(1000),
            communities: vec![GRACEFUL_SHUTDOWN],
            next_hop: Some(next_hop.into()),
        }
    }

    /// The same while its clients are being moved away: the marks of `backup` twice over.
    pub(crate) fn leaving(next_hop: Ipv4Addr) -> Self {
        Self {
            asns: vec![NODE_ASN; 7],
            med: Some(2000),
            ..Self::backup(next_hop)
        }
    }
}

/// A running router; it stops with the test process.
pub(crate) struct Router {
    pub(crate) address: Ipv4Addr,
    said: Arc<Mutex<Vec<(Instant, Said)>>>,
}

impl Router {
    /// Makes a router the neighbour of the node at `site`.
    pub(crate) fn beside(site: &mut Site, hold_time: &str) -> Self {
        let address = super::node::own_address();
        let listen = SocketAddr::from((address, PORT));
        let said = Arc::default();
        let prefix = IpNet::from(IpAddr::V4(site.anycast));
        let follower = Follower {
            said: Arc::clone(&said),
            prefix,
        };
        let (node, (bound, is_bound)) = (site.unicast, std::sync::mpsc::sync_channel(1));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            LocalSet::new().block_on(&runtime, follower.run(listen, node, bound));
        });
        is_bound.recv().unwrap();
        site.tables.push_str(&format!(
            "[bgp]\nasn = {NODE_ASN}\nhold_time = \"{hold_time}\"\nlisten = [\"{}\"]\n\
             [[bgp.neighbor]]\naddress = \"{}\"\nport = {PORT}\nsource = \"{node}\"\n\
             asn = \"external\"\n",
            bgp_listen(site),
            address
        ));
        Self { address, said }
    }

    /// Everything so far.
    pub(crate) fn said(&self) -> Vec<Said> {
        let said = self.said.lock().unwrap();
        said.iter().map(|(_, said)| said.clone()).collect()
    }

    /// Waits until `wanted` has been said, after the first `skip` sayings; where, and when.
    #[track_caller]
    pub(crate) fn wait_for(
        &self,
        skip: usize,
        what: &str,
        wanted: impl Fn(&Said) -> bool,
    ) -> (usize, Instant) {
        wait_for(what, || {
            let said = self.said.lock().unwrap();
            let rest = said.iter().enumerate().skip(skip);
            let mut found = rest.filter(|(_, (_, said))| wanted(said));
            found.next().map(|(position, (at, _))| (position, *at))
        })
    }

    /// Waits for this path; where it stands.
    #[track_caller]
    pub(crate) fn wait_for_path(&self, skip: usize, path: &Path) -> usize {
        let wanted = Said::Announced(path.clone());
        self.wait_for(skip, &format!("{path:?}"), |said| *said == wanted)
            .0
    }
}

/// Where the node listens for connections of neighbours.
pub(crate) fn bgp_listen(site: &Site) -> SocketAddr {
    SocketAddr::from((site.unicast, PORT))
}

struct Follower {
    said: Arc<Mutex<Vec<(Instant, Said)>>>,
    prefix: IpNet,
}

impl Follower {
    async fn run(
        self,
        address: SocketAddr,
        node: Ipv4Addr,
        bound: std::sync::mpsc::SyncSender<()>,
    ) {
        let registry = sidestep::telemetry::Metrics::new().unwrap();
        let metrics = Metrics::register(registry.registry()).unwrap();
        let listeners = listener::bind(&[address]).unwrap();
        let routes = watch::Sender::new(RouteTable {
            routes: Arc::from([]),
            changed: Instant::now(),
            is_lease_good: true,
        });
        let (accepted, inbound) = mpsc::channel(1);
        let (_orders, commands) = mpsc::channel(1);
        let (observer, notices) = mpsc::channel(64);
        let channels = PeerChannels {
            routes: routes.subscribe(),
            commands,
            inbound,
            status: watch::Sender::new(PeerStatus::new(Instant::now())),
            observer: Some(observer),
        };
        let peer = metrics.peer(&node.to_string());
        let running = driver::run_peer(parameters(node, address), channels, peer);
        tokio::task::spawn_local(running);
        tokio::task::spawn_local(self.follow(notices));
        let directory = HashMap::from([(IpAddr::V4(node).into(), accepted.into())]);
        let directory = watch::Sender::new(Arc::new(directory));
        bound.send(()).unwrap();
        listener::run(listeners, directory.subscribe(), metrics.listener()).await;
    }

    async fn follow(self, mut notices: mpsc::Receiver<Notice>) {
        while let Some(notice) = notices.recv().await {
            let now = Instant::now();
            let mut said = self.said.lock().unwrap();
            match notice {
                Notice::Established(_) => said.push((now, Said::Established)),
                Notice::Down(end) => said.push((now, Said::Down(end))),
                Notice::Update(update) => {
                    if update.withdrawn.contains(&self.prefix) {
                        said.push((now, Said::Withdrawn));
                    }
                    if update.announced.contains(&self.prefix) {
                        let path = Path {
                            asns: update.as_path.asns().collect(),
                            med: update.med,
                            next_hop: update.next_hop(&self.prefix),
                            communities: update.communities,
                        };
                        said.push((now, Said::Announced(path)));
                    }
                }
            }
        }
    }
}

fn parameters(node: Ipv4Addr, router: SocketAddr) -> PeerParameters {
    let identifier = Ipv4Addr::new(10, 0, 0, 254);
    PeerParameters {
        local: Some(router.ip()),
        hold_time: Some(Duration::from_secs(90)),
        passive: true,
        ..PeerParameters::new(SocketAddr::from((node, 0)), ASN, identifier)
    }
}
