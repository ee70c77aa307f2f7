//! What a neighbour's packets have to show before a connection is read.

use super::*;
use crate::bgp::{Password, Security, Ttl};
use crate::os::socket::guard;

/// A SYN that is dropped is sent again after 1 s: nothing that is let through takes so long.
const UNHEARD: Duration = Duration::from_millis(700);
const ONE: Ipv4Addr = Ipv4Addr::new(127, 53, 9, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 53, 9, 2);
const HERE: Ipv4Addr = Ipv4Addr::new(127, 53, 9, 3);

fn with_password(password: &str) -> Security {
    Security {
        password: Password::new(password.as_bytes()),
        ..Security::default()
    }
}

fn from_nearby() -> Security {
    Security {
        ttl: Ttl::Security,
        password: None,
    }
}

/// A listener that runs, and what leads to it.
struct Stage {
    address: SocketAddr,
    directory: watch::Sender<Neighbors>,
    metrics: ListenerMetrics,
}

impl Stage {
    /// The listener has its first turn with the next await.
    fn new() -> Self {
        let listeners = bind(&[SocketAddr::from((HERE, 0))]).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let metrics = Metrics::register(&prometheus::Registry::new())
            .unwrap()
            .listener();
        let (directory, known) = watch::channel(Neighbors::default());
        spawn_local(run(listeners, known, metrics.clone()));
        Self {
            address,
            directory,
            metrics,
        }
    }

    /// These neighbours from now on; where the connections of each come out.
    async fn know<const N: usize>(
        &self,
        neighbors: [(Ipv4Addr, Security); N],
    ) -> [mpsc::Receiver<TcpStream>; N] {
        let mut known = HashMap::new();
        let received = neighbors.map(|(address, security)| {
            let (inbound, received) = mpsc::channel(1);
            known.insert(
                PeerKey::from(IpAddr::V4(address)),
                Entry { inbound, security },
            );
            received
        });
        self.directory.send_replace(Arc::new(known));
        // The listener's turn.
        tokio::task::yield_now().await;
        received
    }

    async fn connect(
        &self,
        from: Ipv4Addr,
        prepare: impl Fn(&TcpSocket),
    ) -> Result<TcpStream, tokio::time::error::Elapsed> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        prepare(&socket);
        let connected = timeout(UNHEARD, socket.connect(self.address)).await;
        connected.map(Result::unwrap)
    }
}

fn sign<'s>(password: &'s str, stage: &Stage) -> impl Fn(&TcpSocket) + use<'s> {
    let here = stage.address.ip();
    move |socket| guard::sign(socket, here, password.as_bytes()).unwrap()
}

fn hops(sent: u8) -> impl Fn(&TcpSocket) {
    move |socket| guard::set_hops(socket, HERE.into(), sent, 0).unwrap()
}

fn plain(_: &TcpSocket) {}

async fn comes(received: &mut mpsc::Receiver<TcpStream>) -> TcpStream {
    timeout(PATIENCE, received.recv()).await.unwrap().unwrap()
}

async fn locally<F: Future>(test: F) -> F::Output {
    LocalSet::new().run_until(test).await
}

/// RFC 2385 §2: the neighbour with the password gets in, the same address without it is not
/// answered, and another neighbour needs none.
#[tokio::test]
async fn a_neighbour_with_a_password_gets_in_by_it_alone() {
    locally(async {
        let stage = Stage::new();
        let known = [(ONE, with_password("sesame")), (OTHER, Security::default())];
        let [mut one, mut other] = stage.know(known).await;
        let _signed = stage.connect(ONE, sign("sesame", &stage)).await.unwrap();
        comes(&mut one).await;
        let _plain = stage.connect(OTHER, plain).await.unwrap();
        comes(&mut other).await;
        let (unsigned, wrong) = tokio::join!(
            stage.connect(ONE, plain),
            stage.connect(ONE, sign("sesam", &stage))
        );
        assert!(unsigned.is_err() && wrong.is_err());
        assert_eq!(stage.metrics.busy.get() + stage.metrics.unknown.get(), 0);
    })
    .await;
}

/// A key is replaced, and is gone with its neighbour.
#[tokio::test]
async fn the_key_follows_the_neighbours() {
    locally(async {
        let stage = Stage::new();
        let _old = stage.know([(ONE, with_password("old"))]).await;
        let [mut one] = stage.know([(ONE, with_password("new"))]).await;
        let _signed = stage.connect(ONE, sign("new", &stage)).await.unwrap();
        comes(&mut one).await;
        let [] = stage.know([]).await;
        closed(stage.connect(ONE, plain).await.unwrap()).await;
        assert_eq!(stage.metrics.unknown.get(), 1);
        let [mut one] = stage.know([(ONE, Security::default())]).await;
        let _plain = stage.connect(ONE, plain).await.unwrap();
        comes(&mut one).await;
    })
    .await;
}

/// Who connected before the key was set has shown nothing, whenever it is looked at.
#[tokio::test]
async fn a_connection_from_before_the_password_is_closed() {
    locally(async {
        let stage = Stage::new();
        let early = std::net::TcpStream::connect(stage.address).unwrap();
        early.set_nonblocking(true).unwrap();
        let from = match early.local_addr().unwrap().ip() {
            IpAddr::V4(from) => from,
            IpAddr::V6(_) => unreachable!("dialled over IPv4"),
        };
        let [mut received] = stage.know([(from, with_password("sesame"))]).await;
        closed(TcpStream::from_std(early).unwrap()).await;
        assert_eq!(stage.metrics.unsigned.get(), 1);
        assert!(received.try_recv().is_err());
    })
    .await;
}

/// RFC 5082 §3: with one neighbour that may be far away the socket hears everybody, and the one
/// that must be near is told by its handshake.
#[tokio::test]
async fn a_neighbour_with_gtsm_gets_in_from_the_link_alone() {
    locally(async {
        let stage = Stage::new();
        let known = [(ONE, from_nearby()), (OTHER, Security::default())];
        let [mut one, mut other] = stage.know(known).await;
        for sent in [64, 254] {
            closed(stage.connect(ONE, hops(sent)).await.unwrap()).await;
        }
        assert_eq!(stage.metrics.far.get(), 2);
        let _near = stage.connect(ONE, hops(255)).await.unwrap();
        comes(&mut one).await;
        let _far = stage.connect(OTHER, hops(64)).await.unwrap();
        comes(&mut other).await;
    })
    .await;
}

/// RFC 5082 §3: where all must be near, nothing from afar is answered, until that changes.
#[tokio::test]
async fn where_all_neighbours_have_gtsm_nobody_far_away_is_heard() {
    locally(async {
        let stage = Stage::new();
        let known = [(ONE, from_nearby()), (OTHER, from_nearby())];
        let [mut one, _other] = stage.know(known).await;
        assert!(stage.connect(ONE, hops(254)).await.is_err());
        let _near = stage.connect(ONE, hops(255)).await.unwrap();
        comes(&mut one).await;
        let [mut one, _other] = stage
            .know([(ONE, from_nearby()), (OTHER, Security::default())])
            .await;
        closed(stage.connect(ONE, hops(254)).await.unwrap()).await;
        assert!(one.try_recv().is_err());
    })
    .await;
}

/// RFC 5082 §3: a neighbour that enforces GTSM takes what the listener answers with.
#[tokio::test]
async fn the_answer_to_a_handshake_comes_with_255() {
    locally(async {
        let stage = Stage::new();
        let _known = stage.know([(ONE, Security::default())]).await;
        let strict = |socket: &TcpSocket| {
            guard::set_hops(socket, HERE.into(), 255, 255).unwrap();
        };
        stage.connect(ONE, strict).await.unwrap();
    })
    .await;
}

/// A link-local address on two links is two neighbours, and the kernel has one key for both.
#[test]
fn one_address_has_one_password() {
    let entry = |password: &str| Entry {
        inbound: mpsc::channel(1).0,
        security: with_password(password),
    };
    let key = |scope: &str| PeerKey::of(format!("[fe80::1%{scope}]:179").parse().unwrap());
    let known = [
        (key("4"), entry("other")),
        (key("2"), entry("sesame")),
        (key("3"), entry("sesame")),
    ];
    let passwords = doorway::passwords(&Arc::new(HashMap::from(known)));
    assert_eq!(passwords.wanted.len(), 1);
    assert_eq!(
        passwords.wanted.values().next(),
        Password::new(b"sesame").as_ref()
    );
    assert_eq!(passwords.clashes, [key("4")].into());
}
