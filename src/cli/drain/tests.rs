use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;

use super::*;
use crate::admin::status::{drain, example};

/// Answers a connection after the other with `answers`, and tells what it was asked.
fn with_answers<T>(answers: &[String], client: impl FnOnce(PathBuf) -> T) -> (T, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    thread::scope(|scope| {
        let node = scope.spawn(|| {
            let asked = answers.iter().map(|answer| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = String::new();
                BufReader::new(&stream).read_line(&mut asked).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                asked
            });
            asked.collect::<Vec<_>>()
        });
        (client(path), node.join().unwrap())
    })
}

fn done() -> String {
    "{\"done\":\"draining\"}\n".to_owned()
}

fn with_drains(drains: Vec<StandingDrain>) -> Status {
    Status {
        drains,
        ..example()
    }
}

fn line(drains: Vec<StandingDrain>) -> String {
    let status = Box::new(with_drains(drains));
    serde_json::to_string(&Answer::Status(status)).unwrap() + "\n"
}

fn leaving() -> StandingDrain {
    StandingDrain {
        phase: DrainPhase::Leaving,
        rate: Some(310.0),
        ..drain::example()
    }
}

fn arguments(socket: PathBuf, service: Option<&str>) -> Arguments {
    Arguments {
        control: ControlArguments { socket },
        service: service.map(str::to_owned),
        lasts: None,
        reason: None,
        no_wait: false,
    }
}

#[test]
fn the_command_waits_until_the_clients_have_left() {
    let answers = [done(), line(vec![leaving()]), line(vec![drain::example()])];
    let (code, asked) = with_answers(&answers, |socket| {
        drain(Arguments {
            lasts: Some(Duration::from_millis(1_500)),
            reason: Some("new kernel".into()),
            ..arguments(socket, Some("resolver"))
        })
        .unwrap()
    });
    assert_eq!(code, ExitCode::SUCCESS);
    let order = r#"{"command":"drain","service":"resolver","reason":"new kernel","for_s":2}"#;
    assert_eq!(asked[0], format!("{order}\n"));
    assert_eq!(asked[1..], ["{\"command\":\"status\"}\n"; 2]);
}

#[test]
fn who_does_not_want_to_wait_need_not() {
    let (code, asked) = with_answers(&[done()], |socket| {
        drain(Arguments {
            no_wait: true,
            ..arguments(socket, None)
        })
        .unwrap()
    });
    assert_eq!(code, ExitCode::SUCCESS);
    assert_eq!(asked, ["{\"command\":\"drain\"}\n"]);
}

#[test]
fn a_drain_that_is_taken_back_meanwhile_is_no_success() {
    let answers = [done(), line(vec![leaving()]), line(Vec::new())];
    let (code, _) = with_answers(&answers, |socket| {
        drain(arguments(socket, Some("resolver"))).unwrap()
    });
    assert_eq!(code, ExitCode::FAILURE);
}

#[test]
fn a_node_that_goes_meanwhile_exits_with_3() {
    let answers = [done(), line(vec![leaving()]), String::new()];
    let (code, _) = with_answers(&answers, |socket| {
        drain(arguments(socket, Some("resolver"))).unwrap()
    });
    assert_eq!(code, ExitCode::from(3));
}

#[test]
fn an_older_node_that_tells_of_no_drains_is_not_waited_for() {
    let older = Status {
        drain: Some(crate::admin::status::Drain {
            reason: "new kernel".to_owned(),
            since_s: 0,
        }),
        ..with_drains(Vec::new())
    };
    let older = serde_json::to_string(&Answer::Status(Box::new(older))).unwrap() + "\n";
    let answers = [done(), older];
    let (code, _) = with_answers(&answers, |socket| drain(arguments(socket, None)).unwrap());
    assert_eq!(code, ExitCode::SUCCESS);
}

#[test]
fn a_drain_that_is_gone_at_the_first_look_is_no_success() {
    for service in [None, Some("resolver")] {
        let answers = [done(), line(Vec::new())];
        let (code, _) = with_answers(&answers, |socket| {
            drain(arguments(socket, service)).unwrap()
        });
        assert_eq!(code, ExitCode::FAILURE);
    }
}

#[test]
fn a_refusal_exits_with_1_and_success_with_0() {
    let undrain_one = |socket, service: Option<&str>| {
        undrain(UndrainArguments {
            control: ControlArguments { socket },
            service: service.map(str::to_owned),
        })
        .unwrap()
    };
    let refused = "{\"error\":\"no service x; known: resolver\"}\n".to_owned();
    let (code, asked) = with_answers(&[refused], |socket| undrain_one(socket, Some("x")));
    assert_eq!(asked, ["{\"command\":\"undrain\",\"service\":\"x\"}\n"]);
    assert_eq!(code, ExitCode::from(1));
    let (code, asked) = with_answers(&[done()], |socket| undrain_one(socket, None));
    assert_eq!(asked, ["{\"command\":\"undrain\"}\n"]);
    assert_eq!(code, ExitCode::SUCCESS);
}

#[test]
fn progress_is_told_in_words() {
    let drained = |text: &str| Look::Drained(text.to_owned());
    let leaving_as = |text: &str| Look::Leaving(text.to_owned());
    let name = Some("resolver");
    let of = |drain: StandingDrain| look(&with_drains(vec![drain]), name);
    assert_eq!(
        of(leaving()),
        leaving_as("draining resolver: 1,240 → 310 queries/s")
    );
    assert_eq!(
        of(drain::example()),
        drained("drained after 3.2 s: 0.4 queries/s left")
    );
    let uncounted = StandingDrain {
        rate: None,
        rate_at_start: None,
        ..leaving()
    };
    assert_eq!(of(uncounted), leaving_as("draining resolver"));
    let restored = StandingDrain {
        drained_after_ms: None,
        rate: None,
        ..drain::example()
    };
    assert_eq!(of(restored), drained("drained"));
    let status = with_drains(vec![drain::example()]);
    assert_eq!(look(&status, None), Look::Gone);
    let of_all = StandingDrain {
        service: None,
        ..leaving()
    };
    assert_eq!(
        look(&with_drains(vec![drain::example(), of_all]), None),
        leaving_as("draining all services: 1,240 → 310 queries/s")
    );
}

#[test]
fn a_drain_lasts_from_a_second_to_thirty_days() {
    for (text, seconds) in [("1s", 1), ("30m", 1_800), ("2h", 7_200), ("30d", 2_592_000)] {
        assert_eq!(lasts(text), Ok(Duration::from_secs(seconds)));
    }
    for wrong in ["999ms", "0s", "2592001s", "31d", "30", "soon", ""] {
        assert!(lasts(wrong).is_err(), "{wrong}");
    }
}
