//! The bare answering loop over UDP: the reference for a cache hit.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use super::answer;
use crate::sys::{self, Batch, Names, Wait};

/// Datagrams for each call.
pub(super) const BATCH: usize = 64;
const BUFFER_OCTETS: i32 = 4 << 20;

/// A socket with room for what comes while the loop is busy.
pub(super) fn bind(listen: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(listen)?;
    sys::set_buffers(&socket, BUFFER_OCTETS);
    Ok(socket)
}

/// Answers until `stop` says so, which is asked after each batch.
pub(super) fn serve(socket: &UdpSocket, stop: impl Fn() -> bool) -> io::Result<()> {
    let mut batch = Batch::new(BATCH, Names::Received);
    while !stop() {
        let received = batch.receive(socket, Wait::First)?;
        let answers = batch.answer(received, |buffer, octets| answer(buffer, octets));
        batch.send(socket, answers)?;
    }
    Ok(())
}
