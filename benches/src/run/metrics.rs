//! One number out of Sidestep's metrics: just enough HTTP and Prometheus text.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};

/// The text at `/metrics`.
///
/// # Errors
/// When it cannot be had within 5 s.
pub(crate) fn fetch(admin: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "/metrics: {answer}");
    Ok(answer)
}

/// The value of a metric without labels.
pub(crate) fn value(text: &str, name: &str) -> Option<f64> {
    let samples = text.lines().filter_map(|line| line.split_once(' '));
    let mut values = samples.filter(|(sample, _)| *sample == name);
    values.next()?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_whole_name() {
        let text = "HTTP/1.1 200 OK\r\n\r\n# HELP a_bytes Octets.\n# TYPE a_bytes gauge\n\
                    a_bytes_more 7\na_bytes 268435456\nb{c=\"d\"} 1.5e3\n";
        assert_eq!(value(text, "a_bytes"), Some(268_435_456.0));
        assert_eq!(value(text, "a_byte"), None);
        assert_eq!(value(text, "b{c=\"d\"}"), Some(1500.0));
    }
}
