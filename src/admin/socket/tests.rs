use std::io::{BufRead, BufReader as StdBufReader, Read, Write};
use std::thread::JoinHandle;

use super::*;
use crate::admin::neighbors::tests::with_address;
use crate::admin::status::example;

struct Node {
    path: PathBuf,
    published: Arc<Published>,
    orders: mpsc::Receiver<Order>,
    _directory: tempfile::TempDir,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn node() -> Node {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("below").join("control.sock");
    let socket = ControlSocket::bind(&path).unwrap();
    let published = Arc::new(Published::new(Duration::from_secs(60)));
    let (sender, orders) = mpsc::channel(1);
    #[expect(
        clippy::disallowed_methods,
        reason = "aborted when the node is dropped"
    )]
    let task = tokio::spawn(socket.serve(Arc::clone(&published), sender));
    Node {
        path,
        published,
        orders,
        _directory: directory,
        task,
    }
}

/// Sends octets and reads one answer, from a thread of its own.
fn ask(path: &Path, request: impl Into<Vec<u8>>) -> JoinHandle<Answer> {
    let (path, request) = (path.to_owned(), request.into());
    #[expect(clippy::disallowed_methods, reason = "joined by every caller")]
    std::thread::spawn(move || {
        let mut stream = StdUnixStream::connect(path).unwrap();
        stream.write_all(&request).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut line = String::new();
        StdBufReader::new(stream).read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    })
}

async fn joined(asking: JoinHandle<Answer>) -> Answer {
    tokio::task::spawn_blocking(|| asking.join().unwrap())
        .await
        .unwrap()
}

fn is_error(answer: &Answer, text: &str) -> bool {
    matches!(answer, Answer::Error(problem) if problem.contains(text))
}

#[tokio::test]
async fn the_status_is_the_one_that_was_published_last() {
    let node = node();
    let asking = ask(&node.path, "{\"command\":\"status\"}\n");
    assert!(is_error(&joined(asking).await, "starting"));
    #[expect(clippy::disallowed_methods, reason = "the age does not matter here")]
    node.published
        .publish(example(), Vec::new(), Instant::now());
    let asking = ask(&node.path, "{\"command\":\"status\"}\n");
    assert_eq!(joined(asking).await, Answer::Status(Box::new(example())));
}

#[tokio::test]
async fn a_neighbour_is_told_by_its_address_and_a_stranger_with_all_that_are_known() {
    let node = node();
    let asking = ask(&node.path, "{\"command\":\"neighbors\"}\n");
    assert!(is_error(&joined(asking).await, "starting"));
    let known = ["192.0.2.1", "fe80::1%eth1"].map(with_address);
    #[expect(clippy::disallowed_methods, reason = "the age does not matter here")]
    node.published
        .publish(example(), known.into(), Instant::now());
    let asking = ask(&node.path, "{\"command\":\"neighbors\"}\n");
    let Answer::Neighbors(list) = joined(asking).await else {
        panic!("no list");
    };
    assert_eq!(list.neighbors.len(), 2);
    let line = |address| format!("{{\"command\":\"neighbors\",\"address\":\"{address}\"}}\n");
    let Answer::Neighbor(neighbor) = joined(ask(&node.path, line("fe80::1%eth1"))).await else {
        panic!("no neighbor");
    };
    assert_eq!(neighbor.summary.address, "fe80::1%eth1");
    let answer = joined(ask(&node.path, line("192.0.2.9"))).await;
    let text = "no neighbor 192.0.2.9; known: 192.0.2.1, fe80::1%eth1";
    assert!(is_error(&answer, text), "{answer:?}");
}

#[tokio::test]
async fn an_order_reaches_the_routing_thread_and_its_outcome_comes_back() {
    let mut node = node();
    let asking = ask(
        &node.path,
        "{\"command\":\"drain\",\"reason\":\" new kernel \"}\n",
    );
    let order = node.orders.recv().await.unwrap();
    let change = Change::Drain {
        service: None,
        reason: "new kernel".to_owned(),
        lasts: None,
    };
    assert_eq!(order.change, change);
    assert!(!order.who.is_empty() && order.who != "somebody");
    order.outcome.send(Ok("draining".to_owned())).unwrap();
    assert_eq!(joined(asking).await, Answer::Done("draining".to_owned()));

    let asking = ask(&node.path, "{\"command\":\"undrain\"}\n");
    let order = node.orders.recv().await.unwrap();
    assert_eq!(order.change, Change::Undrain { service: None });
    order.outcome.send(Err("not drained".to_owned())).unwrap();
    assert_eq!(
        joined(asking).await,
        Answer::Error("not drained".to_owned())
    );
}

#[tokio::test]
async fn a_drain_of_one_service_for_a_while_needs_no_reason() {
    let mut node = node();
    for for_s in [1, 30 * 24 * 3600] {
        let line =
            format!("{{\"command\":\"drain\",\"service\":\"resolver\",\"for_s\":{for_s}}}\n");
        let asking = ask(&node.path, line);
        let order = node.orders.recv().await.unwrap();
        let change = Change::Drain {
            service: Some("resolver".to_owned()),
            reason: "no reason given".to_owned(),
            lasts: Some(Duration::from_secs(for_s)),
        };
        assert_eq!(order.change, change);
        order.outcome.send(Ok("draining".to_owned())).unwrap();
        joined(asking).await;
    }
}

#[tokio::test]
async fn an_order_that_nobody_takes_is_refused() {
    let mut node = node();
    // The queue has one place.
    let first = ask(&node.path, "{\"command\":\"undrain\"}\n");
    while node.orders.is_empty() {
        tokio::task::yield_now().await;
    }
    let second = ask(&node.path, "{\"command\":\"undrain\"}\n");
    assert!(is_error(&joined(second).await, "too busy or stopping"));
    drop(node.orders.recv().await.unwrap());
    assert!(is_error(&joined(first).await, "stopping"));
}

#[tokio::test]
async fn what_is_no_command_gets_an_error_and_nothing_else_happens() {
    let mut node = node();
    let no_line = "at most 4096 octets";
    let cases: [(Vec<u8>, &str); 10] = [
        (b"{\"command\":\"stop\"}\n".to_vec(), "not a command"),
        (b"\xff\xfe\n".to_vec(), "not a command"),
        (b"\n".to_vec(), "not a command"),
        (b"{\"command\":\"status\"}".to_vec(), no_line),
        (vec![b'x'; 4096], no_line),
        (
            b"{\"command\":\"drain\",\"reason\":\" \"}\n".to_vec(),
            "needs a reason",
        ),
        (
            b"{\"command\":\"drain\",\"for_s\":0}\n".to_vec(),
            "from 1 s to 30 days",
        ),
        (
            b"{\"command\":\"drain\",\"for_s\":2592001}\n".to_vec(),
            "from 1 s to 30 days",
        ),
        (
            b"{\"command\":\"drain\",\"reason\":\"a\\nb\"}\n".to_vec(),
            "one line",
        ),
        (
            format!(
                "{{\"command\":\"drain\",\"reason\":\"{}\"}}\n",
                "x".repeat(201)
            )
            .into_bytes(),
            "200 characters",
        ),
    ];
    for (request, text) in cases {
        let answer = joined(ask(&node.path, request)).await;
        assert!(is_error(&answer, text), "{text}: {answer:?}");
    }
    assert!(node.orders.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_command_that_never_ends_is_given_up() {
    let node = node();
    let mut stream = StdUnixStream::connect(&node.path).unwrap();
    stream.write_all(b"{\"command\"").unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = loop {
        if reading.is_finished() {
            break reading.await.unwrap();
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    };
    assert_eq!(answer, "{\"error\":\"no command within 5 s\"}\n");
}

#[tokio::test]
async fn only_owner_and_group_may_connect_and_the_file_goes_with_the_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let socket = ControlSocket::bind(&path).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    drop(socket);
    assert!(!path.exists());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_dead_predecessors_socket_is_replaced_and_a_live_ones_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    // A listener that is closed leaves its file, as a killed process does.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let alive = ControlSocket::bind(&path).unwrap();
    assert!(matches!(
        ControlSocket::bind(&path),
        Err(SocketError::InUse { .. })
    ));
    assert!(path.exists());
    drop(alive);
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes");
    fs::write(&path, "important").unwrap();
    assert!(matches!(
        ControlSocket::bind(&path),
        Err(SocketError::NotASocket { .. })
    ));
    assert_eq!(fs::read_to_string(&path).unwrap(), "important");
}
