use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use prometheus::Registry;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::*;
use crate::admin::Describe;
use crate::admin::status::neighbor::BfdState as Shown;
use crate::bfd::metrics::Metrics;
use crate::bgp::driver::RouteTable;
use crate::bgp::message::keepalive;
use crate::bgp::metrics::Metrics as BgpMetrics;
use crate::node::session::{Session, Wanted};

const PATIENCE: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_millis(100);
const DETECTION: Duration = Duration::from_millis(300);

/// Of AS 65000, without a hold time: IPv4, four-octet AS.
pub(in crate::node::session) const OPEN: [u8; 43] = [
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 43, 1, 4,
    0xFD, 0xE8, 0, 0, 127, 53, 0, 66, 14, 2, 12, 1, 4, 0, 1, 0, 1, 65, 4, 0, 0, 0xFD, 0xE8,
];

fn driver() -> Driver {
    let driver = Driver::new(Metrics::register(&Registry::new()).unwrap());
    tokio::task::spawn_local(driver.clone().run());
    driver
}

fn settings() -> bfd::Settings {
    bfd::Settings {
        interval: INTERVAL,
        multiplier: 3,
        authentication: None,
    }
}

fn watch_from(driver: &Driver, path: Path) -> Watch {
    driver.watch(&settings(), path, path.remote.to_string())
}

async fn until_path(watch: &Watch, path: PathState) {
    let mut reports = watch.reports();
    let told = reports.wait_for(|report| report.path == path);
    timeout(PATIENCE, told).await.expect("it is told").unwrap();
}

fn parameters(number: u8, router: SocketAddr) -> PeerParameters {
    PeerParameters {
        local: Some([127, 53, number, 1].into()),
        bfd_detection: Some(DETECTION),
        ..PeerParameters::new(router, 65_053, [192, 0, 2, 1].into())
    }
}

/// The other end of what is watched for a session on these terms.
fn back(parameters: &PeerParameters) -> Path {
    let path = path(parameters);
    Path {
        local: path.remote,
        remote: path.local,
        hops: path.hops,
    }
}

fn session(parameters: PeerParameters, watch: Watch) -> Session {
    let routes = RouteTable {
        routes: Arc::from([]),
        changed: Instant::now(),
        is_lease_good: true,
    };
    let metrics = BgpMetrics::register(&Registry::new()).unwrap();
    let metrics = metrics.peer(&parameters.name());
    let wanted = Wanted {
        parameters,
        interface_index: None,
        is_on_link: true,
        setting: 0,
        is_tentative: false,
        missing: Vec::new(),
    };
    let (_, routes) = watch::channel(routes);
    Session::start(wanted, routes, metrics, Rc::default(), Some(watch))
}

/// An operator sees both sides Up.
async fn until_shown(session: &Session) {
    let is_up = || {
        let told = session.record().describe(Instant::now()).bfd_session?;
        let remote = told.remote.discriminator.is_some().then_some(told.remote)?;
        Some((told.local.state, remote.state) == (Shown::Up, Shown::Up))
    };
    while is_up() != Some(true) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The other side's end of stream has come already.
fn assert_closed(stream: &TcpStream) {
    let mut buffer = [0; 256];
    loop {
        match stream.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("bfd was switched off before bgp was closed: {error}"),
        }
    }
}

/// Design §4, drain; FRR 8.4 takes AdminDown for a fault.
#[tokio::test]
async fn bfd_is_switched_off_after_bgp_is_closed_and_told_for_a_detection_time() {
    let test = async {
        let router = TcpListener::bind("127.53.110.2:0").await.unwrap();
        let parameters = parameters(110, router.local_addr().unwrap());
        let (here, there) = (driver(), driver());
        let other = watch_from(&there, back(&parameters));
        let own = begin(&here, &settings(), &parameters);
        let mut session = session(parameters, own);
        let (mut stream, from) = router.accept().await.unwrap();
        assert_eq!(from.ip(), IpAddr::from([127, 53, 110, 1]));
        // Only a session that was Established is one whose end could be taken for a fault.
        let opening = [&OPEN[..], &keepalive()].concat();
        stream.write_all(&opening).await.unwrap();
        until_path(&other, PathState::Up).await;
        timeout(PATIENCE, until_shown(&session)).await.unwrap();
        assert!(session.is_established());
        session.close("stop");
        until_path(&other, PathState::AdminDown).await;
        assert_eq!(other.reports().borrow().losses, 0, "Down came first");
        let start = Instant::now();
        assert_closed(&stream);
        assert!(!session.is_finished());
        let finished = async {
            while !session.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, finished).await.unwrap();
        let told = start.elapsed();
        assert!(told >= DETECTION - Duration::from_millis(50), "{told:?}");
    };
    LocalSet::new().run_until(test).await;
}

/// Without a neighbour that counts on it nothing is waited for.
#[tokio::test]
async fn a_session_whose_bfd_was_never_up_ends_without_delay() {
    let test = async {
        let router = TcpListener::bind("127.53.111.2:0").await.unwrap();
        let parameters = parameters(111, router.local_addr().unwrap());
        let own = watch_from(&driver(), path(&parameters));
        let mut session = session(parameters, own);
        let stream = router.accept().await.unwrap().0;
        session.close("stop");
        drop(stream);
        let finished = async {
            while !session.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(FAREWELL, finished).await.unwrap();
    };
    LocalSet::new().run_until(test).await;
}

/// FRR 8.4 makes its BFD session anew when BGP is Established, and takes one that was Up before for
/// one that went down.
#[tokio::test]
async fn bfd_is_held_down_until_bgp_is_established_and_after_its_end() {
    let test = async {
        let parameters = parameters(114, "127.53.114.2:179".parse().unwrap());
        let other = watch_from(&driver(), back(&parameters));
        let own = Rc::new(begin(&driver(), &settings(), &parameters));
        let own_status = || own.status().unwrap();
        // The neighbour has answered, so that only the hold keeps it from going on.
        while own_status().remote_discriminator.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(own_status().state, bfd::State::Down);
        let (commands, mut orders) = mpsc::channel(16);
        let (status, seen) = watch::channel(PeerStatus::new(Instant::now()));
        let weak = commands.downgrade();
        let watched = Rc::clone(&own);
        tokio::task::spawn_local(async move {
            accompany(Some(watched), weak, seen, Rc::default()).await;
        });
        status.send_modify(|status| status.state = State::Established);
        assert_eq!(orders.recv().await, Some(Command::Bfd(BfdState::Up)));
        until_path(&other, PathState::Up).await;
        status.send_modify(|status| status.state = State::Active);
        assert_eq!(orders.recv().await, Some(Command::Bfd(BfdState::Down)));
        until_path(&other, PathState::Down).await;
    };
    LocalSet::new()
        .run_until(timeout(PATIENCE, test))
        .await
        .unwrap();
}

/// A router may want BFD before BGP: with FRR the one session that this costs is back in a second.
#[tokio::test(start_paused = true)]
async fn a_neighbor_that_speaks_bfd_for_ten_seconds_without_bgp_gets_it_first() {
    let test = async {
        let parameters = parameters(115, "127.53.115.2:179".parse().unwrap());
        let other = watch_from(&driver(), back(&parameters));
        let own = Rc::new(begin(&driver(), &settings(), &parameters));
        let (commands, mut orders) = mpsc::channel(16);
        let (_status, seen) = watch::channel(PeerStatus::new(Instant::now()));
        let weak = commands.downgrade();
        tokio::task::spawn_local(async move {
            accompany(Some(own), weak, seen, Rc::default()).await;
        });
        let start = tokio::time::Instant::now();
        assert_eq!(orders.recv().await, Some(Command::Bfd(BfdState::Up)));
        assert!(
            start.elapsed() >= STRICT_AFTER - 2 * LOOK,
            "{:?}",
            start.elapsed()
        );
        until_path(&other, PathState::Up).await;
    };
    LocalSet::new().run_until(test).await;
}

/// Design §3, lease: a neighbour that could not be told of a withdraw must see BFD go down, and not
/// come back before the session may.
#[tokio::test]
async fn a_dead_mans_bfd_is_down_until_the_lease_is_good() {
    let test = async {
        let parameters = parameters(112, "127.53.112.2:179".parse().unwrap());
        let other = watch_from(&driver(), back(&parameters));
        let own = Rc::new(watch_from(&driver(), path(&parameters)));
        let (commands, mut orders) = mpsc::channel(16);
        let (status, seen) = watch::channel(PeerStatus::new(Instant::now()));
        status.send_modify(|status| status.state = State::Established);
        let weak = commands.downgrade();
        tokio::task::spawn_local(async move {
            accompany(Some(own), weak, seen, Rc::default()).await;
        });
        assert_eq!(orders.recv().await, Some(Command::Bfd(BfdState::Up)));
        until_path(&other, PathState::Up).await;
        status.send_modify(|status| status.is_dead_man = true);
        assert_eq!(orders.recv().await, Some(Command::Bfd(BfdState::Down)));
        until_path(&other, PathState::Down).await;
        status.send_modify(|status| status.is_dead_man = false);
        assert_eq!(orders.recv().await, Some(Command::Bfd(BfdState::Up)));
        until_path(&other, PathState::Up).await;
        // The session's end is not held up by who passes on what BFD says.
        drop(commands);
        assert_eq!(orders.recv().await, None);
    };
    LocalSet::new()
        .run_until(timeout(PATIENCE, test))
        .await
        .unwrap();
}

/// RFC 5883 §5.
#[test]
fn a_multihop_session_is_watched_over_several_hops() {
    let mut parameters = parameters(113, "192.0.2.1:179".parse().unwrap());
    assert_eq!(path(&parameters).hops, Hops::One);
    parameters.security.ttl = Ttl::Security;
    assert_eq!(path(&parameters).hops, Hops::One);
    parameters.security.ttl = Ttl::Multihop(2);
    assert_eq!(path(&parameters).hops, Hops::Several { ttl_min: 254 });
    assert_eq!(path(&parameters).remote, "192.0.2.1:4784".parse().unwrap());
}
