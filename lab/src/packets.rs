//! Packets as they cross the interfaces of a namespace, without their link headers: packet(7).

use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use socket2::{Domain, Protocol, Socket, Type};

use crate::namespace;

/// `ETH_P_ALL`, packet(7): what leaves is shown only to those who want every protocol.
const ALL_PROTOCOLS: u16 = 3;
/// Room for what comes while this program is not scheduled, in octets; the kernel may give less.
const BUFFER: usize = 4 << 20;
/// The kernel hands over segments that it has not cut into packets yet.
const LARGEST: usize = 1 << 16;
/// How often a listener looks whether it is over.
const TURN: Duration = Duration::from_millis(50);

/// A socket for all packets of a namespace.
pub(crate) fn open(namespace: &Path) -> Result<Socket> {
    namespace::inside(namespace, || {
        let protocol = Protocol::from(i32::from(ALL_PROTOCOLS.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol));
        let socket = socket.context("no packet socket")?;
        socket.set_recv_buffer_size(BUFFER)?;
        socket.set_read_timeout(Some(TURN))?;
        Ok(socket)
    })
}

/// Shows each packet to `each` until `is_over`.
pub(crate) fn listen(
    mut socket: &Socket,
    is_over: &AtomicBool,
    mut each: impl FnMut(&[u8]),
) -> Result<()> {
    let mut buffer = vec![0; LARGEST];
    while !is_over.load(Ordering::Relaxed) {
        match socket.read(&mut buffer) {
            Ok(length) => each(buffer.get(..length).unwrap_or_default()),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error).context("packet socket"),
        }
    }
    Ok(())
}
