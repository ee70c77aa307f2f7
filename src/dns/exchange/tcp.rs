//! A question over TCP, after a truncated answer: one question for each connection.
//!
//! Source: RFC 1035 §4.2.2 (length prefix), RFC 7766 §5 (TCP after truncation).
//! Not done on purpose: connections kept for more questions; truncation is rare at 1232 octets.

#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::key::Key;
use super::query::{self, Edns};
use super::response::{self, Response};

/// Limit for the connection to be made. A SYN that is lost costs 1 s: better to ask another.
const CONNECT_TIME: Duration = Duration::from_millis(500);
/// Limit for question and answer.
const ANSWER_TIME: Duration = Duration::from_millis(1500);

/// Why TCP brought no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum TcpError {
    #[error("no answer in time")]
    Late,
    #[error("the connection failed")]
    Connection(#[from] io::Error),
    #[error("the answer does not match or cannot be read")]
    Unusable,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// Cut to its length.
    pub(super) message: Vec<u8>,
    pub(super) rcode: u16,
    /// The INFO-CODE of an Extended DNS Error.
    pub(super) reason: Option<u16>,
}

/// Asks over a new connection.
pub(super) async fn ask(remote: SocketAddr, key: &Key) -> Result<Answer, TcpError> {
    let connecting = TcpStream::connect(remote);
    let stream = timeout(CONNECT_TIME, connecting)
        .await
        .map_err(|_| TcpError::Late)??;
    timeout(ANSWER_TIME, converse(stream, key))
        .await
        .map_err(|_| TcpError::Late)?
}

async fn converse(mut stream: TcpStream, key: &Key) -> Result<Answer, TcpError> {
    let id = rand::random();
    let message = query::build(key, id, Edns::With);
    let length = u16::try_from(message.len()).map_err(|_| TcpError::Unusable)?;
    stream.set_nodelay(true)?;
    stream
        .write_all(&[&length.to_be_bytes(), message.as_slice()].concat())
        .await?;
    let length = stream.read_u16().await?;
    let mut answer = Vec::new();
    // Memory grows with what arrives, not with what the length promises.
    (&mut stream)
        .take(length.into())
        .read_to_end(&mut answer)
        .await?;
    match response::read(&answer, id, key) {
        Response::Complete {
            rcode,
            length,
            reason,
        } => {
            answer.truncate(length);
            Ok(Answer {
                message: answer,
                rcode,
                reason,
            })
        }
        Response::Foreign
        | Response::Headless { .. }
        | Response::Truncated
        | Response::Malformed => Err(TcpError::Unusable),
    }
}
