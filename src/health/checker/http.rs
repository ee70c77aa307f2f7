//! Asks for a page: HTTP/1.1, one request on each connection, no TLS, no redirects.
//!
//! Source: RFC 9112 §3 (request), §4 (status line), §5.2 (obsolete folding plays no part: no header is
//! read), RFC 9110 §15.2 (what begins with 1 comes before the answer).

use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::health::CheckOutcome;
use crate::health::check::{Page, bad};

/// Octets that are read at most. A status line stands at the front; only interim answers before it,
/// headers included, take room.
const HEAD_MAX: usize = 16 << 10;

pub(super) async fn check(page: &Page) -> CheckOutcome {
    match status_of(page).await {
        Ok(Some(status)) if page.status.iter().any(|good| good.contains(&status)) => {
            CheckOutcome::Good
        }
        Ok(Some(status)) => bad(&format!("status {status}")),
        Ok(None) => bad("no HTTP answer"),
        Err(error) => bad(&format!("{}: {error}", page.address)),
    }
}

async fn status_of(page: &Page) -> io::Result<Option<u16>> {
    let mut stream = TcpStream::connect(page.address).await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: sidestep\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n",
        page.path, page.host
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    loop {
        match status_in(&head) {
            Found::Status(status) => return Ok(Some(status)),
            Found::Nonsense => return Ok(None),
            Found::TooLittle if head.len() >= HEAD_MAX => return Ok(None),
            Found::TooLittle => {}
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Status(u16),
    /// Not HTTP.
    Nonsense,
    TooLittle,
}

/// The status code of the final answer that `head` begins with.
fn status_in(mut head: &[u8]) -> Found {
    loop {
        let Some(end) = find(head, b"\n") else {
            return if b"HTTP/1.".starts_with(head.get(..7).unwrap_or(head)) {
                Found::TooLittle
            } else {
                Found::Nonsense
            };
        };
        let line = head.get(..end).unwrap_or_default();
        let Some(status) = status_of_line(line) else {
            return Found::Nonsense;
        };
        if !(100..200).contains(&status) {
            return Found::Status(status);
        }
        let Some(end) = find(head, b"\r\n\r\n") else {
            return Found::TooLittle;
        };
        head = head.get(end + 4..).unwrap_or_default();
    }
}

/// `HTTP/1.1 200 OK`. RFC 9112 §4.
fn status_of_line(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (&[minor, blank], rest) = rest.split_first_chunk()?;
    let (digits, rest) = rest.split_first_chunk::<3>()?;
    let ends = matches!(rest.first(), None | Some(b' ' | b'\r'));
    let is_number = digits.iter().all(u8::is_ascii_digit) && minor.is_ascii_digit();
    let text = std::str::from_utf8(digits).ok()?;
    let is_good = ends && is_number && blank == b' ';
    is_good.then(|| text.parse().ok()).flatten()
}

fn find(head: &[u8], what: &[u8]) -> Option<usize> {
    head.windows(what.len()).position(|part| part == what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_status_is_known_as_soon_as_its_line_is_there() {
        for (head, found) in [
            (&b""[..], Found::TooLittle),
            (b"HTT", Found::TooLittle),
            (b"HTTP/1.1 20", Found::TooLittle),
            (b"HTTP/1.1 200 OK\r", Found::TooLittle),
            (b"HTTP/1.1 200 OK\r\n", Found::Status(200)),
            (b"HTTP/1.0 503\r\nx: y", Found::Status(503)),
            (b"HTTP/1.1 404 \n", Found::Status(404)),
            (b"SSH-2.0-OpenSSH", Found::Nonsense),
            (b"HTTP/2 200\r\n", Found::Nonsense),
            (b"HTTP/1.1 2000\r\n", Found::Nonsense),
            (b"HTTP/1.1 +20\r\n", Found::Nonsense),
        ] {
            assert_eq!(status_in(head), found, "{head:?}");
        }
    }

    /// RFC 9110 §15.2.
    #[test]
    fn interim_answers_are_passed_over() {
        let interim = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
        assert_eq!(status_in(interim), Found::TooLittle);
        let both = [&interim[..], b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 204 \r\n"].concat();
        assert_eq!(status_in(&both), Found::Status(204));
    }

    proptest! {
        #[test]
        fn no_octets_make_reading_panic(head in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = status_in(&head);
            let _ = status_in(&[b"HTTP/1.1 1", &head[..]].concat());
        }
    }
}
