//! One of two services is drained: its clients are moved away, and the other's are left in peace.

use super::*;

/// With an OPT record. RFC 6891 §6.1.
fn question(id: u16) -> Vec<u8> {
    let mut question = query(b"\x05local\x00", id);
    question[11] = 1;
    question.extend_from_slice(b"\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x00");
    question
}

/// edns-tcp-keepalive of 0. RFC 7828 §3.1.
fn is_asked_to_go(answer: &[u8]) -> bool {
    answer.ends_with(b"\x00\x0B\x00\x02\x00\x00")
}

/// A worker with two sockets of services; what `client` gets is where they listen.
async fn with_two_services<C: Future<Output = ()>>(
    client: impl FnOnce(Arc<Shared>, [SocketAddr; 2]) -> C,
) {
    let bound = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let places = bound.each_ref().map(|tcp| tcp.local_addr().unwrap());
    let udp = places.map(|place| UdpSocket::bind(place).unwrap());
    let mut settings = settings();
    settings.service_sockets = places.to_vec();
    let shared = Arc::new(Shared::new(&settings, ProbeName::new([7; 16]), long_ago()));
    for tcp in &bound {
        tcp.set_nonblocking(true).unwrap();
    }
    for udp in &udp {
        udp.set_nonblocking(true).unwrap();
    }
    let sockets = WorkerSockets {
        connections: CONNECTIONS_MAX,
        udp: udp.into(),
        tcp: bound.into(),
    };
    let forwarder = Echoing {
        echo: Rc::default(),
        records: 1,
        waiting: VecDeque::new(),
        has_news: false,
    };
    let (stop, stopped) = watch::channel(false);
    let worker = run(1, sockets, Arc::clone(&shared), forwarder, pulse(), stopped);
    let client = client(shared, places);
    let both = async move {
        tokio::join!(worker, async {
            client.await;
            stop.send_replace(true);
        })
    };
    let (ended, ()) = timeout(PATIENCE, LocalSet::new().run_until(both))
        .await
        .expect("the worker answers and ends in time");
    ended.unwrap();
}

#[tokio::test(start_paused = true)]
async fn clients_of_a_service_that_is_not_drained_keep_their_connections() {
    with_two_services(async |shared: Arc<Shared>, places: [SocketAddr; 2]| {
        shared.tell_socket_draining(1, true);
        let mut streams = Vec::new();
        for (service, place) in places.into_iter().enumerate() {
            let mut stream = TcpStream::connect(place).await.unwrap();
            stream.write_all(&framed(&question(7))).await.unwrap();
            let answer = read_message(&mut stream).await;
            assert_eq!(is_asked_to_go(&answer), service == 1);
            streams.push(stream);
        }
        let began = Instant::now();
        for (stream, expected_s) in streams.iter_mut().zip([9..12, 0..3]).rev() {
            let read = stream.read(&mut [0; 1]).await;
            assert!(read.is_err() || read.is_ok_and(|octets| octets == 0));
            let silent_s = began.elapsed().as_secs();
            assert!(expected_s.contains(&silent_s), "{silent_s} s");
        }
    })
    .await;
}

#[tokio::test]
async fn questions_are_counted_at_the_service_that_they_came_to() {
    with_two_services(async |shared: Arc<Shared>, places: [SocketAddr; 2]| {
        let socket = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        let socket = socket.await.unwrap();
        let mut answer = [0; 512];
        let mut stream = TcpStream::connect(places[0]).await.unwrap();
        for id in 0..3 {
            stream.write_all(&framed(&question(id))).await.unwrap();
            read_message(&mut stream).await;
            socket.send_to(&query(FAST, id), places[1]).await.unwrap();
            socket.recv(&mut answer).await.unwrap();
        }
        // A self-probe is no client's question.
        let probe = probe_query(&ProbeName::new([7; 16]), 9);
        socket.send_to(&probe, places[1]).await.unwrap();
        socket.recv(&mut answer).await.unwrap();
        let asked_at = &shared.workers()[1].asked_at;
        assert_eq!([0, 1].map(|socket| asked_at.value(socket)), [3, 3]);
    })
    .await;
}
