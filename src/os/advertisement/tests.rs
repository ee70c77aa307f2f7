#![expect(
    clippy::disallowed_methods,
    reason = "a test's tasks end with it, and it waits with a deadline"
)]

use std::process::Command;

use prometheus::Registry;
use tokio::task::LocalSet;

use super::*;

/// Says to the test that it runs in a network namespace of its own.
const INSIDE: &str = "SIDESTEP_TEST_NAMESPACE";
const PATIENCE: Duration = Duration::from_secs(10);

/// Two ends of a link, both in one namespace.
fn ends() -> [Attachment; 2] {
    // Of this namespace, while /sys may show another one.
    let table = std::fs::read_to_string("/proc/net/if_inet6").unwrap();
    [("left", "fe80::a"), ("right", "fe80::b")].map(|(interface, address)| {
        let mut lines = table.lines().map(|line| line.split_whitespace());
        let line = lines.find(|words| words.clone().last() == Some(interface));
        let index = line.unwrap().nth(1).unwrap();
        Attachment {
            interface_index: u32::from_str_radix(index, 16).unwrap(),
            interface: interface.to_owned(),
            address: address.parse().unwrap(),
            link_layer: Some([2, 0, 0, 0, 0, 0x53]),
        }
    })
}

fn attached(end: &Attachment) -> Link {
    Link {
        attachment: Some(end.clone()),
        is_session_up: false,
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.unwrap().success(), "ip {arguments}");
}

/// A router's advertisement with any hop limit.
fn advertise(end: &Attachment, hop_limit: u32) {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6)).unwrap();
    socket.set_multicast_if_v6(end.interface_index).unwrap();
    socket.set_multicast_hops_v6(hop_limit).unwrap();
    let own = SocketAddrV6::new(end.address, 0, 0, end.interface_index);
    socket.bind(&own.into()).unwrap();
    let group = SocketAddrV6::new(ALL_NODES, 0, 0, end.interface_index);
    let packet = packet::advertisement(None);
    socket.send_to(&packet, &group.into()).unwrap();
}

async fn heard(mut routers: watch::Receiver<Vec<Router>>) -> Vec<Ipv6Addr> {
    let waiting = routers.wait_for(|routers| !routers.is_empty());
    let found = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    found.iter().map(|router| router.address).collect()
}

async fn run_inside() {
    ip("link set lo up");
    ip("link add left type veth peer name right");
    for (name, address) in [("left", "fe80::a"), ("right", "fe80::b")] {
        ip(&format!("link set {name} addrgenmode none"));
        ip(&format!("link set {name} up"));
        ip(&format!("addr add {address}/64 dev {name} nodad"));
    }
    let [left, right] = ends();
    let metrics = Metrics::register(&Registry::new()).unwrap();
    let start = |name: &str| {
        let (link, wanted) = watch::channel(Link::default());
        let (told, routers) = watch::channel(Vec::new());
        let metrics = metrics.interface(name);
        tokio::task::spawn_local(run(wanted, told, metrics, || {}));
        (link, routers)
    };
    let (near, mut routers) = start("left");
    near.send_replace(attached(&left));
    // From further away than the link; then one that is not.
    timeout(PATIENCE, async {
        while metrics.interface("left").solicitations_sent.get() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    advertise(&right, 254);
    let forger = Attachment {
        address: "fe80::c".parse().unwrap(),
        ..right.clone()
    };
    ip("addr add fe80::c/64 dev right nodad");
    advertise(&forger, 255);
    assert_eq!(heard(routers.clone()).await, [forger.address]);
    assert_eq!(metrics.interface("left").advertisements.get(), 1);
    // The link goes, and the next one on it is another.
    near.send_replace(Link::default());
    let gone = routers.wait_for(Vec::is_empty);
    timeout(PATIENCE, gone).await.unwrap().unwrap();
    near.send_replace(attached(&left));
    let (other, others) = start("right");
    other.send_replace(attached(&right));
    assert_eq!(heard(routers.clone()).await, [right.address]);
    assert_eq!(heard(others).await, [left.address]);
}

/// RFC 4861 §6.1.2, over a real link. Where no network namespace may be made, it shows nothing.
#[test]
fn two_ends_of_a_link_hear_each_other_and_nobody_from_further_away() {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        return LocalSet::new().block_on(&runtime, run_inside());
    }
    let test = "os::advertisement::tests::\
                two_ends_of_a_link_hear_each_other_and_nobody_from_further_away";
    let unshare = ["--net", "--map-root-user"];
    let may_be_made = Command::new("unshare").args(unshare).arg("true").status();
    if !may_be_made.is_ok_and(|status| status.success()) {
        eprintln!("no network namespace may be made here");
        return;
    }
    let inside = Command::new("unshare")
        .args(unshare)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "yes")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&inside.stdout);
    let errors = String::from_utf8_lossy(&inside.stderr);
    assert!(inside.status.success(), "{said}{errors}");
    assert!(said.contains("1 passed"), "{said}");
}
