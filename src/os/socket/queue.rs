//! What a TCP socket has taken and the other end has not yet acknowledged.
//!
//! Source: tcp(7), SIOCOUTQ.
#![expect(unsafe_code, reason = "neither std nor socket2 has this call")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::checked;

/// Octets that were written and are not acknowledged, sent or not. 0: the other end's TCP has all.
///
/// # Errors
/// Not a TCP socket, or one that listens.
pub fn unacknowledged(socket: &impl AsFd) -> io::Result<usize> {
    let mut octets: libc::c_int = 0;
    // SIOCOUTQ has the number of TIOCOUTQ, which the libc crate knows for every target.
    let request = libc::TIOCOUTQ;
    // SAFETY: the descriptor is open as long as `socket` is borrowed; the kernel writes one c_int,
    // which the pointer is to.
    checked(unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), request, &raw mut octets) })?;
    usize::try_from(octets).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    /// tcp(7): a reader that stops is seen by its full window, one that has read all by a 0.
    #[test]
    fn what_a_reader_has_not_room_for_stays_unacknowledged() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut writer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut reader, _) = listener.accept().unwrap();
        assert_eq!(unacknowledged(&writer).unwrap(), 0);
        writer.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(count) = writer.write(&[0; 65536]) {
            written += count;
        }
        assert!(unacknowledged(&writer).unwrap() > 0);
        let mut waste = vec![0; written];
        reader.read_exact(&mut waste).unwrap();
        while unacknowledged(&writer).unwrap() > 0 {
            std::thread::yield_now();
        }
        assert!(unacknowledged(&listener).is_err());
    }
}
