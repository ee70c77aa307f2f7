//! A router in a few lines: takes the nodes' BGP sessions with the session code of this crate, and
//! tells the [`Fib`] what they announce.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use sidestep::bgp::driver::{self, Notice, PeerChannels, RouteTable};
use sidestep::bgp::peer::{PeerParameters, PeerStatus};
use sidestep::bgp::update::Update;
use sidestep::bgp::{GRACEFUL_SHUTDOWN, listener, metrics::Metrics};
use sidestep::telemetry;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use crate::fib::{Fib, Path};
use crate::nodes::{self, ANYCAST};

const ASN: u32 = 65000;

/// Listens for the sites 1 to `sites` and follows their routes until the process ends; where it
/// listens.
pub(crate) fn start(fib: Fib, sites: u8) -> io::Result<SocketAddr> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (told, address) = std::sync::mpsc::sync_channel(1);
    thread::spawn(move || {
        LocalSet::new().block_on(&runtime, async {
            if let Err(error) = follow(&fib, sites, &told).await {
                drop(told.try_send(Err(error)));
            }
        });
    });
    address
        .recv()
        .unwrap_or_else(|_| Err(io::Error::other("the router has ended")))
}

async fn follow(
    fib: &Fib,
    sites: u8,
    told: &std::sync::mpsc::SyncSender<io::Result<SocketAddr>>,
) -> io::Result<()> {
    let registry = telemetry::Metrics::new().map_err(io::Error::other)?;
    let metrics = Metrics::register(registry.registry()).map_err(io::Error::other)?;
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listeners = listener::bind(&[loopback]).map_err(io::Error::other)?;
    let address = listeners
        .first()
        .ok_or(io::ErrorKind::NotFound)?
        .local_addr()?;
    let nothing = RouteTable {
        routes: Arc::from([]),
        changed: Instant::now(),
        is_lease_good: true,
    };
    // Both stay open as long as the router runs: their ends would be an order to stop.
    let routes = watch::Sender::new(nothing);
    let mut orders = Vec::new();
    let mut inbound = HashMap::new();
    for index in 1..=sites {
        let unicast = nodes::unicast(index);
        let (accepted, connections) = mpsc::channel(1);
        let (order, commands) = mpsc::channel(1);
        let (observer, notices) = mpsc::channel(64);
        inbound.insert(IpAddr::V4(unicast).into(), accepted.into());
        orders.push(order);
        let channels = PeerChannels {
            routes: routes.subscribe(),
            commands,
            inbound: connections,
            status: watch::Sender::new(PeerStatus::new(Instant::now())),
            observer: Some(observer),
        };
        let peer = metrics.peer(&unicast.to_string());
        tokio::task::spawn_local(driver::run_peer(
            parameters(unicast, address),
            channels,
            peer,
        ));
        tokio::task::spawn_local(install(fib.clone(), nodes::name(index), notices));
    }
    let neighbors = watch::Sender::new(Arc::new(inbound));
    drop(told.try_send(Ok(address)));
    listener::run(listeners, neighbors.subscribe(), metrics.listener()).await;
    Ok(())
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

/// Keeps the site's path as its session tells it; a session that ends takes the path along.
async fn install(fib: Fib, site: String, mut notices: mpsc::Receiver<Notice>) {
    while let Some(notice) = notices.recv().await {
        let now = Instant::now();
        match notice {
            Notice::Established(_) => {}
            Notice::Down(_) => fib.set(&site, None, now),
            Notice::Update(update) => {
                let prefix = IpNet::from(IpAddr::V4(ANYCAST));
                if update.withdrawn.contains(&prefix) {
                    fib.set(&site, None, now);
                }
                if update.announced.contains(&prefix) {
                    fib.set(&site, path(&update, &prefix), now);
                }
            }
        }
    }
}

fn path(update: &Update, prefix: &IpNet) -> Option<Path> {
    Some(Path {
        graceful_shutdown: update.communities.contains(&GRACEFUL_SHUTDOWN),
        as_path_length: update.as_path.length(),
        med: update.med.unwrap_or(0),
        next_hop: update.next_hop(prefix)?,
    })
}
