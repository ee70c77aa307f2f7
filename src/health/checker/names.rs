//! Asks another program for names.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use crate::health::CheckOutcome;
use crate::health::check::{Names, judge_names};
use crate::health::question::Question;

/// The names of a round are asked for over this time, one after the other.
const SPREAD: Duration = Duration::from_secs(1);
/// A longer answer is cut, and shows what it has to all the same.
const ANSWER_MAX: usize = 1500;

/// Each question may take `limit`, so the whole may take a second longer.
pub(super) async fn check(names: &Names, limit: Duration) -> CheckOutcome {
    let count = u32::try_from(names.questions.len())
        .unwrap_or(u32::MAX)
        .max(1);
    let asking = names
        .questions
        .iter()
        .zip(0..)
        .map(|(question, number)| async move {
            sleep(SPREAD / count * number).await;
            let asked = names
                .servers
                .iter()
                .map(|(server, source)| ask(question, *server, *source, limit));
            // Good when all of them are; else what the first says of it.
            let all: Result<(), String> = join_all(asked).await.into_iter().collect();
            all.map_err(|text| format!("{}: {text}", question.text))
        });
    judge_names(&join_all(asking).await, names.needed)
}

async fn ask(
    question: &Question,
    server: SocketAddr,
    source: Option<IpAddr>,
    limit: Duration,
) -> Result<(), String> {
    match timeout(limit, exchange(question, server, source)).await {
        Ok(Ok(judged)) => judged,
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer for {} ms", limit.as_millis())),
    }
}

async fn exchange(
    question: &Question,
    server: SocketAddr,
    source: Option<IpAddr>,
) -> io::Result<Result<(), String>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(source.unwrap_or(any), 0)).await?;
    socket.connect(server).await?;
    let query = (question.query)(rand::random());
    socket.send(&query).await?;
    let mut buffer = [0; ANSWER_MAX];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let message = buffer.get(..length).unwrap_or_default();
        if let Some(judged) = (question.judge)(&query, message) {
            return Ok(judged);
        }
    }
}
