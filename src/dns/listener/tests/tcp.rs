//! Connections: pipelining, bounds, silence, and answers of any length.
#![expect(clippy::disallowed_methods, reason = "silence is measured")]

use super::*;

/// RFC 7766 §6.2.1.1 and §7: many questions on one connection, answers as they come.
#[tokio::test]
async fn tcp_answers_pipelined_questions_in_any_order() {
    with_worker(async |node: Rc<Node>| {
        let mut stream = TcpStream::connect(node.tcp).await.unwrap();
        let questions = [framed(&query(SLOW, 1)), framed(&query(FAST, 2))].concat();
        // In two pieces that do not end where a message does.
        stream.write_all(&questions[..5]).await.unwrap();
        let counters = &node.shared.workers()[1];
        while counters.tcp_open.value() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        all_is_read(&node).await;
        stream.write_all(&questions[5..]).await.unwrap();
        assert_eq!(read_message(&mut stream).await[..2], [0, 2]);
        node.echo.release_one();
        let answer = read_message(&mut stream).await;
        let answer = Message::from_vec(&answer).unwrap();
        assert_eq!((answer.metadata.id, answer.answers.len()), (1, 1));
        assert_eq!(node.shared.workers()[1].tcp_open.value(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_was_asked_before_the_client_closed_its_side_is_answered() {
    with_worker(async |node: Rc<Node>| {
        let mut stream = TcpStream::connect(node.tcp).await.unwrap();
        stream.write_all(&framed(&query(SLOW, 3))).await.unwrap();
        stream.shutdown().await.unwrap();
        while node.echo.asked.get() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        all_is_read(&node).await;
        node.echo.release_one();
        assert_eq!(read_message(&mut stream).await[..2], [0, 3]);
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn garbage_by_tcp_ends_its_connection_and_no_other() {
    with_worker(async |node: Rc<Node>| {
        let mut good = TcpStream::connect(node.tcp).await.unwrap();
        let response = [&[0, 1, 0x81][..], &[0; 9]].concat();
        for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 0], &framed(&response)] {
            let mut stream = TcpStream::connect(node.tcp).await.unwrap();
            stream.write_all(garbage).await.unwrap();
            let read = stream.read(&mut [0; 16]).await;
            assert!(read.is_err() || read.is_ok_and(|octets| octets == 0));
        }
        good.write_all(&framed(&query(FAST, 4))).await.unwrap();
        assert_eq!(read_message(&mut good).await[..2], [0, 4]);
    })
    .await;
}

/// RFC 7766 §7: what was asked before the garbage is answered, at once or after waiting, and then the
/// connection is closed. The answers once went away with it.
#[tokio::test]
async fn questions_before_garbage_are_answered_and_what_follows_is_not() {
    with_worker(async |node: Rc<Node>| {
        let response = [&[0, 1, 0x81][..], &[0; 9]].concat();
        for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 0], &framed(&response)] {
            let good = framed(&query(b"\x05local\x00", 5));
            let waiting = framed(&query(SLOW, 6));
            let late = framed(&query(b"\x05local\x00", 7));
            let mut stream = TcpStream::connect(node.tcp).await.unwrap();
            let sent = [&good[..], &waiting, garbage, &late].concat();
            stream.write_all(&sent).await.unwrap();
            assert_eq!(read_message(&mut stream).await[..2], [0, 5]);
            node.echo.release_one();
            assert_eq!(read_message(&mut stream).await[..2], [0, 6]);
            let read = stream.read(&mut [0; 16]).await;
            assert!(read.is_err() || read.is_ok_and(|octets| octets == 0));
        }
    })
    .await;
}

/// Garbage that is met while as many questions wait as may ends nothing before its time.
#[tokio::test]
async fn a_full_pipeline_before_garbage_is_answered() {
    with_worker(async |node: Rc<Node>| {
        for count in [32_u16, 33, 40] {
            let mut stream = TcpStream::connect(node.tcp).await.unwrap();
            let mut sent: Vec<u8> = (0..count).flat_map(|id| framed(&query(SLOW, id))).collect();
            sent.extend_from_slice(&[0, 0]);
            stream.write_all(&sent).await.unwrap();
            for _ in 0..count {
                node.echo.release_one();
                read_message(&mut stream).await;
            }
            let read = stream.read(&mut [0; 16]).await;
            assert!(read.is_err() || read.is_ok_and(|octets| octets == 0));
        }
    })
    .await;
}

/// RFC 7828 §3.3.2: what is told is what the worker does.
#[tokio::test]
async fn a_connection_is_told_how_long_it_may_be_silent() {
    with_worker(async |node: Rc<Node>| {
        let mut question = query(b"\x05local\x00", 5);
        question[11] = 1;
        question.extend_from_slice(b"\x00\x00\x29\x04\xD0\x00\x00\x00\x00\x00\x04\x00\x0B\x00\x00");
        let mut stream = TcpStream::connect(node.tcp).await.unwrap();
        stream.write_all(&framed(&question)).await.unwrap();
        let answer = read_message(&mut stream).await;
        assert!(answer.ends_with(b"\x00\x0B\x00\x02\x00\x64"), "{answer:?}");
    })
    .await;
}

/// A node that clients are moved away from lets go of silent connections soon.
#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed_after_a_second_while_draining() {
    with_worker(async |node: Rc<Node>| {
        node.shared.tell_draining(true);
        let mut stream = TcpStream::connect(node.tcp).await.unwrap();
        let began = Instant::now();
        let read = stream.read(&mut [0; 1]).await;
        assert!(read.is_err() || read.is_ok_and(|octets| octets == 0));
        let silent = began.elapsed();
        assert!(silent < Duration::from_secs(3), "{silent:?}");
    })
    .await;
}

/// RFC 7766 §6.2.3; half a message is no activity.
#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed_after_ten_seconds() {
    with_worker(async |node: Rc<Node>| {
        for sent in [&b""[..], &framed(&query(FAST, 1))[..9]] {
            let mut stream = TcpStream::connect(node.tcp).await.unwrap();
            stream.write_all(sent).await.unwrap();
            let began = Instant::now();
            let read = stream.read(&mut [0; 1]).await;
            assert!(read.is_err() || read.is_ok_and(|octets| octets == 0));
            let silent = began.elapsed();
            assert!(silent >= Duration::from_secs(9), "{silent:?}");
            assert!(silent < Duration::from_secs(12), "{silent:?}");
        }
    })
    .await;
}

/// RFC 7766 §6.2.2.
#[tokio::test]
async fn one_client_has_a_bounded_number_of_connections() {
    with_worker(async |node: Rc<Node>| {
        let mut held = Vec::new();
        for _ in 0..connections::PER_CLIENT_MAX {
            let mut stream = TcpStream::connect(node.tcp).await.unwrap();
            stream.write_all(&framed(&query(FAST, 5))).await.unwrap();
            read_message(&mut stream).await;
            held.push(stream);
        }
        let mut extra = TcpStream::connect(node.tcp).await.unwrap();
        let read = extra.read(&mut [0; 1]).await;
        assert!(read.is_err() || read.is_ok_and(|octets| octets == 0));
        let counters = &node.shared.workers()[1];
        assert_eq!(counters.tcp_rejected.value(), 1);

        held.clear();
        while counters.tcp_open.value() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
        let mut stream = TcpStream::connect(node.tcp).await.unwrap();
        stream.write_all(&framed(&query(FAST, 6))).await.unwrap();
        assert_eq!(read_message(&mut stream).await[..2], [0, 6]);
    })
    .await;
}

/// The limit of questions on one connection holds back reading, and loses nothing.
#[tokio::test]
async fn more_questions_than_may_wait_on_one_connection_are_all_answered() {
    with_worker(async |node: Rc<Node>| {
        let mut stream = TcpStream::connect(node.tcp).await.unwrap();
        let ids = 0..80_u16;
        let questions: Vec<u8> = ids
            .clone()
            .flat_map(|id| framed(&query(SLOW, id)))
            .collect();
        stream.write_all(&questions).await.unwrap();
        let counters = &node.shared.workers()[1];
        while counters.in_flight.value() < 32 {
            sleep(Duration::from_millis(5)).await;
        }
        all_is_read(&node).await;
        assert_eq!(counters.in_flight.value(), 32);
        let mut answered = Vec::new();
        for _ in ids.clone() {
            node.echo.release_one();
            let message = read_message(&mut stream).await;
            answered.push(u16::from_be_bytes([message[0], message[1]]));
        }
        answered.sort_unstable();
        assert_eq!(answered, ids.collect::<Vec<_>>());
    })
    .await;
}

/// RFC 2181 §9; RFC 7766 §5.
#[tokio::test]
async fn a_long_answer_is_cut_by_udp_and_whole_by_tcp() {
    with_worker_and_upstream(100, async |node: Rc<Node>| {
        let client = udp_client(&node).await;
        client.send(&query(FAST, 1)).await.unwrap();
        let cut = Message::from_vec(&receive(&client).await).unwrap();
        assert!(cut.metadata.truncation && (1..100).contains(&cut.answers.len()));
        let mut stream = TcpStream::connect(node.tcp).await.unwrap();
        for id in [2, 3] {
            stream.write_all(&framed(&query(FAST, id))).await.unwrap();
            let whole = Message::from_vec(&read_message(&mut stream).await).unwrap();
            assert!(!whole.metadata.truncation);
            assert_eq!(whole.metadata.response_code, ResponseCode::NoError);
            assert_eq!(whole.answers.len(), 100);
        }
    })
    .await;
}

/// A client that asks for much and takes nothing gets no more read, and everything in the end.
#[tokio::test]
async fn a_slow_reader_gets_every_answer() {
    with_worker_and_upstream(1000, async |node: Rc<Node>| {
        let mut stream = TcpStream::connect(node.tcp).await.unwrap();
        let ids = 0..1000_u16;
        let questions: Vec<u8> = ids
            .clone()
            .flat_map(|id| framed(&query(FAST, id)))
            .collect();
        let (mut reader, mut writer) = stream.split();
        let write = async { writer.write_all(&questions).await.unwrap() };
        let read = async {
            // Nothing is taken until the worker has stopped answering.
            let counters = &node.shared.workers()[1];
            let mut before = None;
            while before != Some(counters.tcp_queries.value()) || before == Some(0) {
                before = Some(counters.tcp_queries.value());
                all_is_read(&node).await;
            }
            let mut answered = Vec::new();
            for _ in ids.clone() {
                let length = reader.read_u16().await.unwrap();
                let mut message = vec![0; usize::from(length)];
                reader.read_exact(&mut message).await.unwrap();
                assert!(message.len() > 16_000);
                answered.push(u16::from_be_bytes([message[0], message[1]]));
            }
            answered
        };
        let ((), mut answered) = tokio::join!(write, read);
        answered.sort_unstable();
        assert_eq!(answered, ids.collect::<Vec<_>>());
    })
    .await;
}

/// A client over its limit of questions is read more slowly, and gets every answer.
#[tokio::test]
async fn questions_over_the_limit_wait_in_their_connection() {
    let mut settings = settings();
    settings.workers = std::num::NonZeroUsize::MIN;
    settings.access.allow = vec!["10.0.0.0/8".parse().unwrap()];
    settings.limits.queries_per_second = std::num::NonZeroU32::new(100);
    let shared = Arc::new(Shared::new(&settings, ProbeName::new([7; 16]), start()));
    let worker = Worker::new(0, Arc::clone(&shared)).unwrap();
    let forwarder = Echoing {
        echo: Rc::default(),
        records: 1,
        waiting: VecDeque::new(),
        has_news: false,
    };
    let began = std::time::Instant::now();
    let desk = Rc::new(Desk::new(worker, forwarder, began));
    let mailbox = Rc::new(mailbox::Mailbox::new(mailbox::Held::default(), began));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    // Limits never hold for the loopback address that it really comes from.
    let address = "10.0.0.1".parse().unwrap();
    let mailbox_of_session = Rc::clone(&mailbox);
    let session = session::Session::new(
        stream,
        address,
        Rc::clone(&desk),
        mailbox_of_session,
        &Rc::default(),
    );
    let questions: Vec<u8> = (0..130)
        .flat_map(|id| framed(&query(b"\x05local\x00", id)))
        .collect();
    let asking = async {
        client.write_all(&questions).await.unwrap();
        for id in 0..130_u16 {
            assert_eq!(read_message(&mut client).await[..2], id.to_be_bytes());
        }
        let waited = began.elapsed();
        assert!(waited >= Duration::from_millis(290), "{waited:?}");
    };
    let beating = async {
        loop {
            sleep(HEARTBEAT).await;
            mailbox.resume();
        }
    };
    timeout(PATIENCE, async {
        tokio::select! {
            () = asking => {}
            () = session => panic!("the connection is good"),
            () = beating => {}
        }
    })
    .await
    .unwrap();
    let pauses = shared.workers()[0].limit_tcp_pauses.value();
    assert!((1..=20).contains(&pauses), "{pauses}");
}
