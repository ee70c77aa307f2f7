//! Asks a sibling once, from a socket of its own: with another port each time the questions reach all
//! workers of the other node in turn, an address or route that has changed is seen at once, and a
//! forger has to guess anew (RFC 5452 §9.2).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::super::exchange::socket::connect;
use super::{Question, Word};

/// More than any answer.
const BUFFER: usize = 1500;

/// What has become of a question that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It was answered.
    Answered(Word),
    /// It was not, or not in time.
    Unanswered,
}

/// Asks the sibling at `to`, from the address `source` as long as this host has it, and waits `limit`
/// for an answer.
///
/// # Errors
/// The question was not sent: no route, no descriptor.
pub async fn ask(to: SocketAddr, source: Option<IpAddr>, limit: Duration) -> io::Result<Asked> {
    let question = Question::new(rand::random());
    let socket = UdpSocket::from_std(connect(to, source)?)?;
    socket.send(&question.message()).await?;
    let heard = timeout(limit, hear(&socket, &question)).await;
    Ok(heard
        .ok()
        .flatten()
        .map_or(Asked::Unanswered, Asked::Answered))
}

/// Waits for an answer that matches (RFC 5452 §9.1); `None`: the network says that none will come.
async fn hear(socket: &UdpSocket, question: &Question) -> Option<Word> {
    let mut buffer = [0; BUFFER];
    loop {
        let length = socket.recv(&mut buffer).await.ok()?;
        let answer = question.read(buffer.get(..length).unwrap_or_default());
        if answer.is_some() {
            return answer;
        }
    }
}
