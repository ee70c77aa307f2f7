use std::future::pending;
use std::io::Write;
use std::net::Ipv4Addr;

use tokio::task::LocalSet;

use super::*;
use crate::bgp::message::keepalive;

fn wanted() -> Wanted {
    let parameters = PeerParameters {
        hold_time: None,
        passive: true,
        ..PeerParameters::new(
            "127.0.0.1:179".parse().unwrap(),
            65_053,
            Ipv4Addr::LOCALHOST,
        )
    };
    Wanted {
        parameters,
        interface_index: Some(3),
        is_on_link: true,
        setting: 0,
        is_tentative: false,
        missing: Vec::new(),
    }
}

fn with_hop(next_hop: Option<&str>, is_tentative: bool) -> Wanted {
    let mut wanted = Wanted {
        is_tentative,
        ..wanted()
    };
    wanted.parameters.next_hop_v6 = next_hop.map(|hop| hop.parse().unwrap());
    wanted
}

/// RFC 4862 §5.4: after a link came back, the address is the same one and not usable yet.
#[test]
fn an_address_that_is_being_checked_replaces_no_session() {
    let old = with_hop(Some("fd00::2"), false);
    assert_eq!(old.fit(&with_hop(Some("fd00::2"), false)), Fit::Same);
    assert_eq!(old.fit(&with_hop(None, true)), Fit::Same);
    let mut elsewhere = with_hop(None, true);
    elsewhere.interface_index = Some(4);
    assert_eq!(old.fit(&elsewhere), Fit::Unfit);
}

/// RFC 4271 §4.2: what an OPEN offered holds for the session; a next hop is told per route.
#[test]
fn a_session_outlives_a_change_of_next_hops_that_leaves_its_families() {
    let old = with_hop(Some("fd00::2"), false);
    let hop = |hop: &str| Fit::NextHops {
        v4: None,
        v6: Some(hop.parse().unwrap()),
    };
    assert_eq!(old.fit(&with_hop(Some("fd00::3"), false)), hop("fd00::3"));
    // The family goes, or comes.
    assert_eq!(old.fit(&with_hop(None, false)), Fit::Unfit);
    let without = with_hop(None, false);
    assert_eq!(without.fit(&with_hop(Some("fd00::3"), false)), Fit::Unfit);
    // Anything else that changes with it.
    let mut stranger = with_hop(Some("fd00::3"), false);
    stranger.parameters.local_asn = 65_054;
    assert_eq!(old.fit(&stranger), Fit::Unfit);
}

/// RFC 2545 §3: between link-local addresses there is a next hop with and without a global one.
#[test]
fn a_global_address_may_come_and_go_on_a_link_local_session() {
    let over = |hop: Option<&str>| {
        let mut wanted = with_hop(hop, false);
        wanted.parameters.remote = "[fe80::1%3]:179".parse().unwrap();
        wanted.parameters.local = Some("fe80::53".parse().unwrap());
        wanted
    };
    let (without, with) = (over(None), over(Some("fd00::3")));
    let v6 = with.parameters.next_hop_v6;
    assert_eq!(without.fit(&with), Fit::NextHops { v4: None, v6 });
    let gone = Fit::NextHops { v4: None, v6: None };
    assert_eq!(with.fit(&without), gone);
}

fn session(task: JoinHandle<()>, places: usize) -> (Session, mpsc::Receiver<Command>) {
    let (commands, orders) = mpsc::channel(places);
    let status = watch::channel(PeerStatus::new(Instant::now())).1;
    let session = Session {
        wanted: wanted(),
        commands,
        inbound: mpsc::channel(1).0,
        status,
        task,
        obsolete_since: None,
        is_closing: false,
        bfd: None,
        is_leaving: Rc::default(),
        link_up: true,
    };
    (session, orders)
}

#[tokio::test]
async fn a_link_that_says_the_same_again_is_no_news_and_takes_no_place() {
    let tasks = LocalSet::new();
    let (mut session, mut orders) = session(tasks.spawn_local(pending()), COMMANDS_WAITING);
    let told = [true, true, false, false, true, true].map(|is_up| session.take_link(is_up));
    assert_eq!(told, [false, false, true, false, true, false]);
    assert_eq!(orders.try_recv(), Ok(Command::LinkDown));
    assert_eq!(orders.try_recv(), Ok(Command::LinkUp));
    assert!(orders.try_recv().is_err());
    // The "up" between two "downs" may get lost.
    assert!(session.take_link(false));
    session.forget_link();
    assert!(session.take_link(false));
}

#[tokio::test]
async fn a_close_that_found_no_place_is_tried_again() {
    let tasks = LocalSet::new();
    let (mut session, mut orders) = session(tasks.spawn_local(pending()), 1);
    session.take_link(false);
    session.close("lost");
    assert_eq!(orders.try_recv(), Ok(Command::LinkDown));
    session.close("heard");
    let text = "heard".to_owned();
    assert_eq!(orders.try_recv(), Ok(Command::Shutdown { text }));
}

#[tokio::test]
async fn a_task_that_panics_rings_too() {
    let changed = Rc::new(Notify::new());
    let bell = Bell(Rc::clone(&changed));
    let panicking = async move {
        let _bell = bell;
        panic!("as a session might");
    };
    let tasks = LocalSet::new();
    let task = tasks.spawn_local(panicking);
    tasks.await;
    assert!(task.await.is_err());
    changed.notified().await;
}

/// Design §2: bounded octets of a neighbour in a turn. Once the task of a flooding neighbour woke itself
/// by what it told of itself, and had sixty turns before sockets and timers of others had one.
#[tokio::test]
async fn a_flooding_neighbour_has_one_turn_before_everybody_else_has_one() {
    const TURN: u64 = 16 * 1024;
    const UPDATE: [u8; 23] = [
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 23, 2,
        0, 0, 0, 0,
    ];
    let test = async {
        let router = std::net::TcpListener::bind("127.53.117.2:0").unwrap();
        let parameters = PeerParameters {
            hold_time: None,
            ..PeerParameters::new(router.local_addr().unwrap(), 65_053, Ipv4Addr::LOCALHOST)
        };
        let wanted = Wanted {
            parameters,
            interface_index: None,
            ..wanted()
        };
        let (_told, routes) = watch::channel(RouteTable {
            routes: std::sync::Arc::from([]),
            changed: Instant::now(),
            is_lease_good: true,
        });
        let metrics = crate::bgp::metrics::Metrics::register(&prometheus::Registry::new());
        let metrics = metrics.unwrap().peer("flood");
        let session = Session::start(wanted, routes, metrics, Rc::default(), None);
        let flood = std::thread::spawn(move || {
            let (mut stream, _) = router.accept().unwrap();
            let opening = [&bfd::tests::OPEN[..], &keepalive()].concat();
            stream.write_all(&opening).unwrap();
            let many = UPDATE.repeat(50_000);
            // Until the session is dropped.
            while stream.write_all(&many).is_ok() {}
        });
        let updates = || session.status.borrow().messages.received.update;
        let (mut before, mut most) = (updates(), 0);
        while before < 300_000 {
            // Sockets and timers are asked once before this goes on.
            tokio::task::yield_now().await;
            let now = updates();
            most = most.max(now - before);
            before = now;
        }
        let in_a_turn = TURN / UPDATE.len() as u64 + 1;
        assert!(most <= in_a_turn, "{most} instead of {in_a_turn}");
        flood
    };
    let tasks = LocalSet::new();
    let flood = tasks.run_until(test).await;
    drop(tasks);
    flood.join().unwrap();
}
