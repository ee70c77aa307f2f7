//! How many datagrams a UDP socket of another program has lost because its queue was full.
//!
//! Source: proc(5), `/proc/net/udp` and `/proc/net/udp6`: one line per socket, addresses in
//! hexadecimal and in the byte order of the host, the last column counts the lost datagrams.
//! The kernel writes that text while it is read, which takes the longer the more sockets there are.
//! So it is read on a thread that may be slow, and only up to a limit.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread;

use tokio::sync::oneshot;

/// Lines have 128 octets over IPv4 and about 175 over IPv6: this is room for 10,000 sockets.
const OCTETS_MAX: u64 = 2 << 20;

/// Datagrams that the sockets which take in what is sent to `address` have lost: those bound to it
/// and those bound to every address. `None` when there is no such socket.
///
/// # Errors
/// The tables cannot be read.
pub async fn drops(address: SocketAddr) -> io::Result<Option<u64>> {
    let read = move || {
        let mut total = None;
        let files: &[&str] = match address {
            // A socket of IPv6 may take in IPv4 as well.
            SocketAddr::V4(_) => &["/proc/net/udp", "/proc/net/udp6"],
            SocketAddr::V6(_) => &["/proc/net/udp6"],
        };
        for file in files {
            let mut text = String::new();
            match File::open(file) {
                Ok(file) => file.take(OCTETS_MAX).read_to_string(&mut text)?,
                // A kernel without IPv6.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if let Some(found) = drops_in(&text, address) {
                total = Some(total.unwrap_or(0) + found);
            }
        }
        Ok(total)
    };
    let (told, total) = oneshot::channel();
    // The runtime's own threads for this panic when the system has none to give.
    thread::Builder::new()
        .name("udp-table".to_owned())
        .spawn(move || told.send(read()))?;
    total.await.map_err(io::Error::other)?
}

/// The sum over the matching lines of a table; lines that cannot be read are passed over.
fn drops_in(table: &str, address: SocketAddr) -> Option<u64> {
    let mut total = None;
    // What the limit has cut is no line.
    let whole = table.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for line in whole.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(local), Some(drops)) = (words.nth(1).and_then(socket), words.next_back()) else {
            continue;
        };
        let is_bound_to =
            local.ip().to_canonical() == address.ip().to_canonical() || local.ip().is_unspecified();
        if local.port() != address.port() || !is_bound_to {
            continue;
        }
        if let Ok(drops) = drops.parse::<u64>() {
            total = Some(total.unwrap_or(0_u64).saturating_add(drops));
        }
    }
    total
}

/// `0100007F:0035` is 127.0.0.1:53.
fn socket(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Each group of eight digits is four octets as the host has them in memory.
    let word = |from: usize| {
        let digits = address.get(from..from + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (index, four) in octets.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(8 * index)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use proptest::prelude::*;

    use super::*;

    const TABLE: &str = "\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1063: 0100007F:0035 00000000:0000 07 00000000:00034F00 00:00000000 00000000     0        0 101 2 0000000000000000 17
 1064: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 102 2 0000000000000000 3
 1065: 00000000:0036 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 103 2 0000000000000000 5
 1066: 0200007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 104 2 0000000000000000 90
 broken
";
    const TABLE_6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 3055: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 201 2 0000000000000000 4
 3056: 00000000000000000000000000000000:0036 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 202 2 0000000000000000 6
 3057: 0000000000000000FFFF00000100007F:0037 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 203 2 0000000000000000 8
";

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// The tables show memory as it is: this text is from a host that stores the low octet first.
    #[cfg(target_endian = "little")]
    #[test]
    fn the_sockets_of_an_address_are_counted_together_and_others_are_not() {
        assert_eq!(drops_in(TABLE, at("127.0.0.1:53")), Some(20));
        assert_eq!(drops_in(TABLE, at("127.0.0.2:53")), Some(90));
        assert_eq!(drops_in(TABLE, at("10.9.8.7:54")), Some(5), "bound to all");
        assert_eq!(drops_in(TABLE, at("127.0.0.1:55")), None);
        assert_eq!(drops_in(TABLE_6, at("[::1]:53")), Some(4));
        assert_eq!(drops_in(TABLE_6, at("[fd53::53]:54")), Some(6));
        assert_eq!(drops_in(TABLE_6, at("127.0.0.1:54")), Some(6));
        assert_eq!(drops_in(TABLE_6, at("127.0.0.1:55")), Some(8), "mapped");
    }

    #[tokio::test]
    async fn the_queue_of_a_program_that_does_not_read_is_seen_to_overflow() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        assert_eq!(drops(address).await.unwrap(), Some(0));
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        sender.connect(address).unwrap();
        for _ in 0..2000 {
            let _ = sender.send(&[0; 1000]);
        }
        assert!(drops(address).await.unwrap().is_some_and(|lost| lost > 0));
        drop(socket);
        assert_eq!(drops(address).await.unwrap(), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_panic(text in ".{0,200}") {
            let _ = drops_in(&text, at("127.0.0.1:53"));
            let _ = socket(&text);
        }
    }
}
