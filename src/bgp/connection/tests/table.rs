//! RFC 4271 §8.2.2 as a table: every state against every event.
//!
//! A cell says the next state and what is said or told: `O` an OPEN, `K` a KEEPALIVE, `6/2` a
//! NOTIFICATION, a word an event. `-`: nothing changes. `+` behind a state: TCP is up and the
//! DelayOpenTimer runs. Events 6, 7, 13 to 15 are the business of `peer` and `listener`.

use super::*;
use crate::bgp::timers::Timer;

/// For the connection that this side dials.
const DIALLED: &str = "
event                       | Idle         | Connect        | Connect+         | Active         | OpenSent      | OpenConfirm   | Established
1, 3 start                  | Connect dial | -              | -                | -              | -             | -             | -
4, 5 start passively        | Active       | -              | -                | -              | -             | -             | -
2, 8 stop                   | -            | Idle dropped   | Idle 6/2         | Idle dropped   | Idle 6/2      | Idle 6/2      | Idle 6/2
9 ConnectRetryTimer         | -            | Active timeout | -                | Connect dial   | -             | -             | -
10 HoldTimer                | -            | -              | -                | -              | Idle 4/0      | Idle 4/0      | Idle 4/0
11 KeepaliveTimer           | -            | -              | -                | -              | -             | OpenConfirm K | Established K
12 DelayOpenTimer           | -            | -              | OpenSent O       | -              | -             | -             | -
9687 SendHoldTimer          | -            | -              | -                | -              | -             | -             | Idle 8/0
16, 17 TCP is up            | -            | OpenSent O     | -                | OpenSent O     | -             | -             | -
16, 17 with DelayOpen       | -            | Connect+       | -                | Active+        | -             | -             | -
18 TCP fails                | -            | Active failed  | Active closed    | -              | Active closed | Idle closed   | Idle closed
19, 20 OPEN                 | -            | -              | OpenConfirm O K  | -              | OpenConfirm K | Idle 5/2      | Idle 5/3
21 bad header               | -            | -              | Idle 1/1         | -              | Idle 1/1      | Idle 1/1      | Idle 1/1
22 bad OPEN                 | -            | -              | Idle 2/6         | -              | Idle 2/6      | Idle 5/2      | Idle 5/3
23 collision                | -            | Idle dropped   | Idle 6/7         | Idle dropped   | Idle 6/7      | Idle 6/7      | Idle 6/7
24 NOTIFICATION 2/1         | -            | -              | Idle heard       | -              | Idle heard    | Idle heard    | Idle heard
25 NOTIFICATION             | -            | -              | Idle heard       | -              | Idle heard    | Idle heard    | Idle heard
26 KEEPALIVE                | -            | -              | Idle 5/0         | -              | Idle 5/1      | Established   | -
27 UPDATE                   | -            | -              | Idle 5/0         | -              | Idle 5/1      | Idle 5/2      | Established update
28 bad UPDATE               | -            | -              | Idle 5/0         | -              | Idle 5/1      | Idle 5/2      | Idle 3/1
2918 ROUTE-REFRESH          | -            | -              | Idle 5/0         | -              | Idle 5/1      | Idle 5/2      | Established refresh
link is lost                | -            | Idle dropped   | Idle dropped     | Idle dropped   | Idle dropped  | Idle dropped  | Idle dropped
link is back                | -            | -              | -                | Connect dial   | -             | -             | -
withdraw not delivered      | -            | Idle undelivered | Idle undelivered | Idle undelivered | Idle undelivered | Idle undelivered | Idle undelivered
";

/// For the connection that the peer opens, which is never dialled.
const ACCEPTED: &str = "
event                       | Idle         | Active           | Active+          | OpenSent      | OpenConfirm   | Established
4, 5 start passively        | Active       | -                | -                | -             | -             | -
2, 8 stop                   | -            | Idle dropped     | Idle 6/2         | Idle 6/2      | Idle 6/2      | Idle 6/2
9 ConnectRetryTimer         | -            | -                | -                | -             | -             | -
10 HoldTimer                | -            | -                | -                | Idle 4/0      | Idle 4/0      | Idle 4/0
11 KeepaliveTimer           | -            | -                | -                | -             | OpenConfirm K | Established K
12 DelayOpenTimer           | -            | -                | OpenSent O       | -             | -             | -
9687 SendHoldTimer          | -            | -                | -                | -             | -             | Idle 8/0
16, 17 TCP is up            | -            | OpenSent O       | -                | -             | -             | -
16, 17 with DelayOpen       | -            | Active+          | -                | -             | -             | -
18 TCP fails                | -            | Idle closed      | Idle closed      | Idle closed   | Idle closed   | Idle closed
19, 20 OPEN                 | -            | -                | OpenConfirm O K  | OpenConfirm K | Idle 5/2      | Idle 5/3
21 bad header               | -            | -                | Idle 1/1         | Idle 1/1      | Idle 1/1      | Idle 1/1
22 bad OPEN                 | -            | -                | Idle 2/6         | Idle 2/6      | Idle 5/2      | Idle 5/3
23 collision                | -            | Idle dropped     | Idle 6/7         | Idle 6/7      | Idle 6/7      | Idle 6/7
24 NOTIFICATION 2/1         | -            | -                | Idle heard       | Idle heard    | Idle heard    | Idle heard
25 NOTIFICATION             | -            | -                | Idle heard       | Idle heard    | Idle heard    | Idle heard
26 KEEPALIVE                | -            | -                | Idle 5/0         | Idle 5/1      | Established   | -
27 UPDATE                   | -            | -                | Idle 5/0         | Idle 5/1      | Idle 5/2      | Established update
28 bad UPDATE               | -            | -                | Idle 5/0         | Idle 5/1      | Idle 5/2      | Idle 3/1
2918 ROUTE-REFRESH          | -            | -                | Idle 5/0         | Idle 5/1      | Idle 5/2      | Established refresh
link is lost                | -            | Idle dropped     | Idle dropped     | Idle dropped  | Idle dropped  | Idle dropped
link is back                | -            | -                | -                | -             | -             | -
withdraw not delivered      | -            | Idle undelivered | Idle undelivered | Idle undelivered | Idle undelivered | Idle undelivered
";

/// RFC 4271 §8.2.2: all of it, with RFC 6608, RFC 9687 and RFC 2918 worked in.
#[test]
fn every_event_does_in_every_state_what_the_table_says() {
    for (role, table) in [(Role::Dialled, DIALLED), (Role::Accepted, ACCEPTED)] {
        let mut lines = table.trim().lines();
        let states: Vec<&str> = cells(lines.next().unwrap()).collect();
        let states = &states[1..];
        let mut checked = 0;
        for line in lines {
            let mut row = cells(line);
            let event = row.next().unwrap();
            for (state, expected) in states.iter().zip(row) {
                check(role, event, state, expected);
                checked += 1;
            }
        }
        assert_eq!(checked % states.len(), 0, "a row of {role:?} is too short");
    }
}

fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split('|').map(str::trim)
}

fn check(role: Role, event: &str, state: &str, expected: &str) {
    let now = Instant::now();
    let mut machine = in_state(role, state, now);
    happen(&mut machine, event, now);
    let became = name(&machine);
    let said = said(&mut machine);
    let outcome = match said.is_empty() {
        true if became == state => "-".to_owned(),
        true => became,
        false => format!("{became} {said}"),
    };
    assert_eq!(outcome, expected, "{event} in {state} of {role:?}");
    check_timers(&machine, event, state);
}

/// RFC 4271 §8.2.2: which timers run is a matter of the state.
fn check_timers(machine: &Connection, event: &str, from: &str) {
    let timers = &machine.timers;
    let running = [
        timers.connect_retry.is_some(),
        timers.delay_open.is_some(),
        timers.hold.is_some(),
        timers.keepalive.is_some(),
        timers.send_hold.is_some(),
    ];
    let is_passive = event == "4, 5 start passively" && from == "Idle";
    let waits = machine.role == Role::Dialled && !is_passive;
    let expected = match (machine.state(), machine.has_tcp()) {
        (Idle, _) => [false; 5],
        (Connect, false) => [true, false, false, false, false],
        (Active, false) => [waits, false, false, false, false],
        (Connect | Active, true) => [false, true, false, false, false],
        (OpenSent, _) => [false, false, true, false, false],
        (OpenConfirm | Established, _) => [false, false, true, true, false],
    };
    assert_eq!(
        running,
        expected,
        "timers after {event} in {:?}",
        machine.state()
    );
}

fn in_state(role: Role, state: &str, now: Instant) -> Connection {
    let named = State::ALL
        .into_iter()
        .find(|known| format!("{known:?}") == state.trim_end_matches('+'));
    let mut machine = machine(role, named.unwrap(), now);
    if state.ends_with('+') {
        machine.handle_connected(now, local(), DELAY);
    }
    machine
}

fn name(machine: &Connection) -> String {
    let waits = matches!(machine.state(), Connect | Active) && machine.has_tcp();
    format!("{:?}{}", machine.state(), if waits { "+" } else { "" })
}

/// What has been said and told, in order.
fn said(machine: &mut Connection) -> String {
    let mut octets: Vec<u8> = std::iter::from_fn(|| machine.poll_transmit())
        .flatten()
        .collect();
    let mut words = Vec::new();
    while let Some(event) = machine.poll_event() {
        match event {
            Event::Dial => words.push("dial".to_owned()),
            Event::Opened(_) | Event::Established(_) => {}
            Event::Update(_) => words.push("update".to_owned()),
            Event::RouteRefresh(_) => words.push("refresh".to_owned()),
            Event::Ended { end, last } => {
                octets.extend(last);
                let word = match end {
                    End::ConnectTimeout => "timeout",
                    End::ConnectFailed => "failed",
                    End::Closed => "closed",
                    End::Sent(_) => continue,
                    End::Received(_) => "heard",
                    End::Dropped => "dropped",
                    End::Undelivered => "undelivered",
                };
                words.push(word.to_owned());
            }
        }
    }
    let mut messages = Vec::new();
    let mut rest = octets.as_slice();
    while let Some(frame) = message::frame(rest).unwrap() {
        messages.push(match frame.kind {
            Kind::Open => "O".to_owned(),
            Kind::Keepalive => "K".to_owned(),
            Kind::Notification => format!("{}/{}", frame.body[0], frame.body[1]),
            Kind::Update | Kind::RouteRefresh => panic!("a connection says no such thing"),
        });
        rest = &rest[frame.length..];
    }
    assert_eq!(rest, b"");
    messages.append(&mut words);
    messages.join(" ")
}

fn happen(machine: &mut Connection, event: &str, now: Instant) {
    let refused_version = Notification::new(2, 1, vec![0, 4]);
    let shutdown = Notification::administrative_shutdown("bye");
    match event {
        "1, 3 start" => machine.handle_start(now),
        "4, 5 start passively" => machine.handle_start_passively(),
        "2, 8 stop" => machine.handle_stop(shutdown),
        "9 ConnectRetryTimer" => expire(machine, now, Timer::ConnectRetry),
        "10 HoldTimer" => expire(machine, now, Timer::Hold),
        "11 KeepaliveTimer" => expire(machine, now, Timer::Keepalive),
        "12 DelayOpenTimer" => expire(machine, now, Timer::DelayOpen),
        "9687 SendHoldTimer" => {
            machine.handle_blocked(now);
            expire(machine, now, Timer::SendHold);
        }
        "16, 17 TCP is up" => machine.handle_connected(now, local(), Duration::ZERO),
        "16, 17 with DelayOpen" => machine.handle_connected(now, local(), DELAY),
        "18 TCP fails" => machine.handle_closed(now),
        "23 collision" => machine.handle_stop(Notification::collision()),
        "24 NOTIFICATION 2/1" => machine.handle_bytes(now, &refused_version.encode()),
        "25 NOTIFICATION" => machine.handle_bytes(now, &shutdown.encode()),
        "link is lost" => machine.handle_drop(),
        "link is back" => machine.handle_hurry(now),
        "withdraw not delivered" => machine.handle_undelivered(),
        message => machine.handle_bytes(now, &octets_of(message)),
    }
}

fn octets_of(message: &str) -> Vec<u8> {
    match message {
        "19, 20 OPEN" => peer_open().encode(),
        "21 bad header" => b"GET / HTTP/1.1".to_vec(),
        "22 bad OPEN" => {
            let mut open = peer_open();
            open.hold_time_s = 1;
            open.encode()
        }
        "26 KEEPALIVE" => keepalive(),
        "27 UPDATE" => end_of_rib(),
        "28 bad UPDATE" => message::encode(Kind::Update, &[0, 9, 0, 0]).unwrap(),
        "2918 ROUTE-REFRESH" => message::encode(Kind::RouteRefresh, &[0, 1, 0, 1]).unwrap(),
        unknown => panic!("no such event: {unknown}"),
    }
}

/// Lets `timer` be due, if it runs, and no other.
fn expire(machine: &mut Connection, now: Instant, timer: Timer) {
    let timers = &mut machine.timers;
    let later = now + Duration::from_secs(86_400);
    for (known, deadline) in [
        (Timer::ConnectRetry, &mut timers.connect_retry),
        (Timer::DelayOpen, &mut timers.delay_open),
        (Timer::Hold, &mut timers.hold),
        (Timer::Keepalive, &mut timers.keepalive),
        (Timer::SendHold, &mut timers.send_hold),
    ] {
        if let Some(deadline) = deadline {
            *deadline = if known == timer { now } else { later };
        }
    }
    machine.handle_timeout(now);
}
