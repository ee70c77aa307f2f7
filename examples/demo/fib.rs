//! The router's two halves that are not BGP: choosing the best path, and passing packets on.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A route to the anycast address as one neighbour has announced it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path {
    /// RFC 8326 §4: GRACEFUL_SHUTDOWN means the lowest local preference, so it is compared first.
    pub(crate) graceful_shutdown: bool,
    pub(crate) as_path_length: usize,
    pub(crate) med: u32,
    pub(crate) next_hop: IpAddr,
}

/// What happened to the route, for the timeline.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) at: Instant,
    pub(crate) site: String,
    pub(crate) what: String,
}

#[derive(Default)]
struct Table {
    paths: BTreeMap<String, Path>,
    changes: Vec<Change>,
}

impl Table {
    fn best(&self) -> Option<(&String, &Path)> {
        self.paths
            .iter()
            .min_by_key(|(site, path)| (**path, (*site).clone()))
    }
}

/// Paths by site, and where packets go because of them.
#[derive(Clone, Default)]
pub(crate) struct Fib(Arc<Mutex<Table>>);

impl Fib {
    fn with<T>(&self, f: impl FnOnce(&mut Table) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the path of a site; `None` takes it away. Tells the timeline when it changed.
    pub(crate) fn set(&self, site: &str, path: Option<Path>, now: Instant) {
        self.with(|table| {
            let before = match path {
                Some(path) => table.paths.insert(site.to_owned(), path),
                None => table.paths.remove(site),
            };
            if before == path {
                return;
            }
            let what = match path {
                None => "route gone".to_owned(),
                Some(path) if path.graceful_shutdown => format!(
                    "route made less attractive (AS path {}, MED {}, GRACEFUL_SHUTDOWN)",
                    path.as_path_length, path.med
                ),
                Some(path) => format!("route installed (AS path {})", path.as_path_length),
            };
            table.changes.push(Change {
                at: now,
                site: site.to_owned(),
                what,
            });
        });
    }

    /// The site that packets go to now.
    pub(crate) fn best_site(&self) -> Option<String> {
        self.with(|table| table.best().map(|(site, _)| site.clone()))
    }

    /// The sites with a path, best or not.
    pub(crate) fn sites(&self) -> Vec<String> {
        self.with(|table| table.paths.keys().cloned().collect())
    }

    /// The path of a site.
    pub(crate) fn path(&self, site: &str) -> Option<Path> {
        self.with(|table| table.paths.get(site).copied())
    }

    /// What happened since `since`.
    pub(crate) fn changes_since(&self, since: Instant) -> Vec<Change> {
        self.with(|table| {
            table
                .changes
                .iter()
                .filter(|c| c.at >= since)
                .cloned()
                .collect()
        })
    }

    fn next_hop(&self) -> Option<IpAddr> {
        self.with(|table| table.best().map(|(_, path)| path.next_hop))
    }
}

/// Passes the client's packets to the site with the best path, and answers back, until the process
/// ends. `sites` tells which socket stands behind a next hop.
///
/// A router would leave the packet as it is; here all sites share one machine, so the destination
/// is rewritten. Nothing is buffered and nothing is repeated: what a dead site gets is lost.
pub(crate) fn forward(fib: Fib, sites: Vec<(IpAddr, SocketAddr)>) -> io::Result<SocketAddr> {
    let inside = UdpSocket::bind("127.0.0.1:0")?;
    let outside = UdpSocket::bind("127.0.0.1:0")?;
    let address = inside.local_addr()?;
    inside.set_read_timeout(Some(Duration::from_secs(60)))?;
    let client: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
    let (seen, answers_to) = (Arc::clone(&client), client);
    let (inside_back, outside_back) = (inside.try_clone()?, outside.try_clone()?);
    thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((len, from)) = inside.recv_from(&mut buffer) {
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
            let Some(next_hop) = fib.next_hop() else {
                continue;
            };
            let Some((_, to)) = sites.iter().find(|(address, _)| *address == next_hop) else {
                continue;
            };
            drop(outside.send_to(buffer.get(..len).unwrap_or_default(), to));
        }
    });
    thread::spawn(move || {
        let mut buffer = [0; 1500];
        loop {
            // An error here is a closed port reported for an earlier packet: a dead site.
            let Ok(len) = outside_back.recv(&mut buffer) else {
                continue;
            };
            let to = *answers_to.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(to) = to {
                drop(inside_back.send_to(buffer.get(..len).unwrap_or_default(), to));
            }
        }
    });
    Ok(address)
}
