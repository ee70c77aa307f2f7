//! A GET of the node's admin listener, from inside the node.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::namespace;

/// `admin.listen` of the lab's configuration.
const PORT: u16 = 9153;
const LIMIT: Duration = Duration::from_secs(2);

/// The body of a page that answers 200.
pub(crate) fn get(namespace: &Path, path: &str) -> Result<String> {
    let response = namespace::inside(namespace, || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT))
            .context("the admin listener does not accept")?;
        stream.set_read_timeout(Some(LIMIT))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        Ok(response)
    })?;
    let (head, body) = response.split_once("\r\n\r\n").context("not HTTP")?;
    let status = head.lines().next().unwrap_or_default();
    ensure!(status.contains(" 200 "), "{path}: {status}");
    Ok(body.to_owned())
}
