use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::admin::neighbors::tests::with_address;
use crate::admin::status::neighbor::{NeighborDetail, NeighborList};
use crate::admin::status::{Level, example};

const FRESH_FOR: Duration = Duration::from_secs(60);

struct Server {
    address: SocketAddr,
    published: Arc<Published>,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn server(life: Duration) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let published = Arc::new(Published::new(FRESH_FOR));
    let sources = Sources {
        published: Arc::clone(&published),
        metrics: Arc::new(Metrics::new().unwrap()),
    };
    let listener = Bounded {
        listener,
        permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        life,
    };
    let serving = axum::serve(listener, router(sources));
    Server {
        address,
        published,
        task: tokio::spawn(serving.into_future()),
    }
}

/// Sends one request and reads until the server closes.
async fn ask(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn fetch(server: &Server, path: &str) -> (u16, String) {
    let answer = ask(
        server,
        &format!("GET {path} HTTP/1.1\r\nHost: node\r\n\r\n"),
    )
    .await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn a_starting_node_is_neither_healthy_nor_ready() {
    let server = server(CONNECTION_LIFE_MAX).await;
    for path in [
        "/healthz",
        "/readyz",
        "/status",
        "/api/v1/neighbors",
        "/api/v1/neighbors/192.0.2.1",
    ] {
        let (code, body) = fetch(&server, path).await;
        assert_eq!((code, body.as_str()), (503, "the node is starting\n"));
    }
}

#[tokio::test]
async fn a_node_that_reports_is_healthy_and_ready_and_tells_its_status() {
    let server = server(CONNECTION_LIFE_MAX).await;
    server
        .published
        .publish(example(), Vec::new(), Instant::now());
    assert_eq!(fetch(&server, "/healthz").await, (200, "ok\n".into()));
    assert_eq!(fetch(&server, "/readyz").await, (200, "ready\n".into()));
    let (code, body) = fetch(&server, "/status").await;
    assert_eq!(code, 200);
    assert_eq!(
        serde_json::from_str::<super::super::Status>(&body).unwrap(),
        example()
    );
    let (code, body) = fetch(&server, "/metrics").await;
    assert_eq!(code, 200);
    assert!(body.contains("sidestep_build_info{"), "{body}");
}

#[tokio::test]
async fn a_node_whose_routing_thread_is_silent_is_neither_healthy_nor_ready() {
    let server = server(CONNECTION_LIFE_MAX).await;
    let long_ago = Instant::now() - FRESH_FOR - Duration::from_secs(5);
    server.published.publish(example(), Vec::new(), long_ago);
    for path in ["/healthz", "/readyz"] {
        let (code, body) = fetch(&server, path).await;
        assert_eq!(code, 503);
        assert!(
            body.starts_with("the routing thread has not reported for 65."),
            "{body}"
        );
    }
    assert_eq!(fetch(&server, "/status").await.0, 200);
}

#[tokio::test]
async fn a_withdrawn_service_makes_the_node_unready_and_leaves_it_healthy() {
    let server = server(CONNECTION_LIFE_MAX).await;
    let mut status = example();
    status.services[0].families[0].level = Level::Withdrawn;
    server.published.publish(status, Vec::new(), Instant::now());
    let (code, body) = fetch(&server, "/readyz").await;
    assert_eq!(code, 503);
    assert_eq!(
        body,
        "resolver 10.53.53.53: withdrawn: all probes are answered\n"
    );
    assert_eq!(fetch(&server, "/healthz").await.0, 200);
}

#[tokio::test]
async fn only_get_is_allowed_and_only_known_paths_exist() {
    let server = server(CONNECTION_LIFE_MAX).await;
    for path in [
        "/status",
        "/metrics",
        "/healthz",
        "/readyz",
        "/api/v1/neighbors",
        "/api/v1/neighbors/192.0.2.1",
    ] {
        let request = format!("POST {path} HTTP/1.1\r\nHost: node\r\nContent-Length: 0\r\n\r\n");
        let answer = ask(&server, &request).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{path}: {answer}");
    }
    assert_eq!(fetch(&server, "/").await.0, 404);
}

#[tokio::test]
async fn neighbours_are_told_in_full_one_by_one_or_all_together() {
    let server = server(CONNECTION_LIFE_MAX).await;
    let known = ["192.0.2.1", "fe80::1%eth1"].map(with_address);
    server
        .published
        .publish(example(), known.into(), Instant::now());
    let (code, body) = fetch(&server, "/api/v1/neighbors").await;
    let list: NeighborList = serde_json::from_str(&body).unwrap();
    assert_eq!((code, list.node.as_str()), (200, "ams1"));
    assert_eq!(list.neighbors.len(), 2);
    // RFC 3986 §2.1: a percent sign in a path is written %25.
    for (path, address) in [
        ("192.0.2.1", "192.0.2.1"),
        ("fe80::1%25eth1", "fe80::1%eth1"),
    ] {
        let (code, body) = fetch(&server, &format!("/api/v1/neighbors/{path}")).await;
        let neighbor: NeighborDetail = serde_json::from_str(&body).unwrap();
        assert_eq!((code, neighbor.summary.address.as_str()), (200, address));
    }
    for stranger in ["192.0.2.2", "fe80::1%25eth2", "%ff", "router"] {
        let (code, body) = fetch(&server, &format!("/api/v1/neighbors/{stranger}")).await;
        assert!((400..=404).contains(&code), "{stranger}: {code}");
        let knows = body.ends_with("known: 192.0.2.1, fe80::1%eth1\n");
        assert!(knows || code == 400, "{stranger}: {body}");
    }
    assert_eq!(fetch(&server, "/api/v1/neighbors/").await.0, 404);
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off() {
    let server = server(Duration::from_millis(100)).await;
    let answer = ask(&server, "GET /status HTTP/1.1\r\nHost: no").await;
    assert_eq!(answer, "");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let server = server(Duration::from_millis(500)).await;
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    let start = Instant::now();
    assert_eq!(fetch(&server, "/healthz").await.0, 503);
    assert!(start.elapsed() >= Duration::from_millis(300));
}
