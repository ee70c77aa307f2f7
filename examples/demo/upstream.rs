//! The demo's own name server, so that it needs no other: any name below `demo.` has an address.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};

/// What every name resolves to.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const TTL_S: u32 = 300;

/// A name server on a loopback port; it stops with the process.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    silent: Arc<AtomicBool>,
}

impl Upstream {
    pub(crate) fn start() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = socket.local_addr()?;
        let silent = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&silent);
        thread::spawn(move || serve(&socket, &flag));
        Ok(Self { address, silent })
    }

    /// While silent it reads questions and answers none, as a server behind a dead link would.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }
}

fn serve(socket: &UdpSocket, silent: &AtomicBool) {
    let mut buffer = [0; 1500];
    while let Ok((len, from)) = socket.recv_from(&mut buffer) {
        if silent.load(Ordering::Relaxed) {
            continue;
        }
        let reply = buffer
            .get(..len)
            .and_then(|bytes| Message::from_vec(bytes).ok())
            .map(answer);
        if let Some(bytes) = reply.and_then(|message| message.to_vec().ok()) {
            // A lost answer is the asker's to notice.
            drop(socket.send_to(&bytes, from));
        }
    }
}

fn answer(request: Message) -> Message {
    let mut reply = Message::response(request.metadata.id, request.metadata.op_code);
    reply.metadata.recursion_desired = request.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = ResponseCode::NoError;
    if let Some(query) = request.queries.first() {
        if query.query_type() == RecordType::A {
            let data = RData::A(A(ADDRESS));
            reply.add_answer(Record::from_rdata(query.name().clone(), TTL_S, data));
        }
        reply.add_query(query.clone());
    }
    reply
}
