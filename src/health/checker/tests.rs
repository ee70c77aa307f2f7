//! Against real programs and small servers.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::health::check::{Command, Names, Page};
use crate::health::question::Question;

const LIMIT: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);

fn shell(script: &str) -> CheckKind {
    CheckKind::Exec(Command {
        program: "/bin/sh".to_owned(),
        arguments: vec!["-c".to_owned(), script.to_owned()],
        environment: vec![("SIDESTEP_SERVICE".to_owned(), "resolver".to_owned())],
    })
}

async fn is_gone(process: &str) {
    while Path::new("/proc").join(process).join("fd").exists() && !is_zombie(process) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn is_zombie(process: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat"));
    status.is_ok_and(|status| status.contains(") Z "))
}

#[tokio::test]
async fn exit_code_0_is_good_and_the_first_line_tells_what_is_not() {
    for (script, expected) in [
        ("exit 0", CheckOutcome::Good),
        ("echo fine; exit 0", CheckOutcome::Good),
        ("exit 3", bad("exit code 3")),
        (
            "echo; echo disk full; echo more; exit 1",
            bad("exit code 1: disk full"),
        ),
        ("echo no route >&2; exit 2", bad("exit code 2: no route")),
        ("kill -9 $$", bad("ended by signal 9")),
        ("test \"$SIDESTEP_SERVICE\" = resolver", CheckOutcome::Good),
        ("test -z \"$HOME$CARGO_MANIFEST_DIR\"", CheckOutcome::Good),
        ("read line || test -z \"$line\"", CheckOutcome::Good),
    ] {
        assert_eq!(make(&shell(script), LIMIT).await, expected, "{script}");
    }
    let CheckOutcome::Bad(text) = make(
        &CheckKind::Exec(Command {
            program: "/nonexistent/check".to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
        }),
        LIMIT,
    )
    .await
    else {
        panic!("there is no such program");
    };
    assert!(text.starts_with("/nonexistent/check: "), "{text}");
}

/// As on a disk that does not answer: the call that starts it does not return.
#[tokio::test]
async fn a_program_that_the_system_does_not_start_holds_up_no_other_check() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let start = move || {
        let _ = released.recv();
        Err(std::io::Error::other("released"))
    };
    let other = async {
        assert_eq!(make(&shell("exit 0"), LIMIT).await, CheckOutcome::Good);
        release.send(()).unwrap();
    };
    let (hung, ()) = futures_util::future::join(exec::follow("slow", start, SHORT), other).await;
    assert_eq!(hung, bad("slow: released"));
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ids");
    let file = file.display();
    let script =
        format!("sleep 600 & echo $! $$ > {file}.new; mv {file}.new {file}; echo on; wait");
    let began = Instant::now();
    let outcome = make(&shell(&script), SHORT).await;
    assert_eq!(outcome, bad("killed after 300 ms: on"));
    assert!(began.elapsed() < LIMIT);
    let ids = fs::read_to_string(folder.path().join("ids")).unwrap();
    for id in ids.split_whitespace() {
        is_gone(id).await;
    }
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_killed_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("id");
    let script = format!("sleep 600 & echo $! > {}; exit 0", file.display());
    let began = Instant::now();
    assert_eq!(make(&shell(&script), LIMIT).await, CheckOutcome::Good);
    assert!(began.elapsed() < LIMIT);
    is_gone(fs::read_to_string(&file).unwrap().trim()).await;
}

#[tokio::test]
async fn a_program_that_never_stops_talking_is_ended_in_time() {
    let outcome = make(&shell("yes talk"), SHORT).await;
    assert_eq!(outcome, bad("killed after 300 ms: talk"));
    let script = "i=0; while [ $i -lt 20000 ]; do echo line; i=$((i+1)); done; exit 4";
    let outcome = make(&shell(script), LIMIT).await;
    assert_eq!(outcome, bad("exit code 4: line"));
}

#[tokio::test]
async fn a_stop_ends_a_program_that_runs_and_is_not_held_up_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("id");
    let script = format!(
        "echo $$ > {0}.new; mv {0}.new {0}; sleep 600",
        file.display()
    );
    let check = CheckSettings {
        service: 0,
        check: 0,
        kind: shell(&script),
        interval: Duration::from_secs(600),
        timeout: Duration::from_secs(500),
    };
    let (stop, stopping) = watch::channel(false);
    let stopper = async {
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.send_replace(true);
    };
    let running = run(vec![check], |report| panic!("{report:?}"), stopping);
    timeout(LIMIT, futures_util::future::join(running, stopper))
        .await
        .unwrap();
    is_gone(fs::read_to_string(&file).unwrap().trim()).await;
}

#[tokio::test]
async fn a_connection_is_good_and_a_refusal_is_not() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(
        make(&CheckKind::Tcp(address), LIMIT).await,
        CheckOutcome::Good
    );
    drop(listener);
    let outcome = make(&CheckKind::Tcp(address), LIMIT).await;
    assert!(
        matches!(&outcome, CheckOutcome::Bad(text) if text.contains("refused")),
        "{outcome:?}"
    );
}

/// RFC 9112 §3: what a server gets; RFC 9110 §15: what the code means.
#[tokio::test]
async fn a_page_is_good_with_one_of_its_status_codes() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let page = |path: &str| {
        CheckKind::Http(Page {
            address,
            host: address.to_string(),
            path: path.to_owned(),
            status: vec![200..=200, 300..=399],
        })
    };
    let serving = async {
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8(request[..length].to_vec()).unwrap();
            assert!(
                request.contains(&format!("\r\nHost: {address}\r\n")),
                "{request}"
            );
            let path = request.split(' ').nth(1).unwrap();
            match path.strip_prefix('/').unwrap() {
                "silence" => kept.push(stream),
                "close" => drop(stream),
                code => {
                    let answer = format!("HTTP/1.1 {code} x\r\nContent-Length: 0\r\n\r\n");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        }
    };
    let asking = async {
        for (path, expected) in [
            ("/200", CheckOutcome::Good),
            ("/399", CheckOutcome::Good),
            ("/204", bad("status 204")),
            ("/400", bad("status 400")),
            ("/silence", bad("no answer for 300 ms")),
            ("/close", bad("no HTTP answer")),
        ] {
            assert_eq!(make(&page(path), SHORT).await, expected, "{path}");
        }
    };
    tokio::select! {
        () = asking => {}
        () = serving => {}
    }
}

#[tokio::test]
async fn names_that_too_few_servers_know_are_bad_and_each_server_has_to_know_them() {
    let sockets = [
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(),
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(),
    ];
    let question = |name: u8| Question {
        text: format!("name{name}").into(),
        query: std::sync::Arc::new(move |id| [&id.to_be_bytes()[..], &[name]].concat()),
        judge: std::sync::Arc::new(|asked, reply| {
            let (mark, rest) = reply.split_last()?;
            (rest == asked).then(|| match mark {
                b'!' => Ok(()),
                _ => Err("SERVFAIL".to_owned()),
            })
        }),
    };
    let servers = sockets.iter().map(|it| (it.local_addr().unwrap(), None));
    let names = |needed| {
        CheckKind::Names(Names {
            servers: servers.clone().collect(),
            questions: (0..3).map(question).collect(),
            needed,
        })
    };
    // The first server knows all but name 2, the second all but name 1; both say something else first.
    let serve = async |socket: &UdpSocket, unknown: u8| {
        let mut buffer = [0; 64];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let query = &buffer[..length];
            socket.send_to(b"late", from).await.unwrap();
            let mark = if query[2] == unknown { b'?' } else { b'!' };
            let reply = [query, &[mark]].concat();
            socket.send_to(&reply, from).await.unwrap();
        }
    };
    let asking = async {
        assert_eq!(make(&names(1), SHORT).await, CheckOutcome::Good);
        let outcome = make(&names(2), SHORT).await;
        let expected = "1 of 3 names resolve, 2 needed; name1: SERVFAIL";
        assert_eq!(outcome, bad(expected));
    };
    tokio::select! {
        () = asking => {}
        () = serve(&sockets[0], 2) => {}
        () = serve(&sockets[1], 1) => {}
    }
}
