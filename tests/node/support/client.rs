//! A stub resolver that shows all that it gets.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption, NSIDPayload};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};

use super::LIMIT;

/// A question as `dig` would send it.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) rtype: RecordType,
    pub(crate) class: DNSClass,
    pub(crate) id: u16,
    /// The size in the OPT record, which also asks for NSID; `None`: no OPT record.
    pub(crate) edns: Option<u16>,
}

/// Asks for the address of `name`, with EDNS.
pub(crate) fn a(name: &str) -> Question {
    Question {
        name: name.to_owned(),
        rtype: RecordType::A,
        class: DNSClass::IN,
        id: rand::random(),
        edns: Some(1232),
    }
}

impl Question {
    pub(crate) fn with_edns(self, edns: Option<u16>) -> Self {
        Self { edns, ..self }
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut message = Message::query();
        message.metadata.id = self.id;
        message.metadata.recursion_desired = true;
        let mut query = Query::query(Name::from_ascii(&self.name).unwrap(), self.rtype);
        query.set_query_class(self.class);
        message.add_query(query);
        if let Some(size) = self.edns {
            let mut edns = Edns::new();
            edns.set_max_payload(size);
            let nsid = NSIDPayload::new(Vec::new()).unwrap();
            edns.options_mut().insert(EdnsOption::NSID(nsid));
            message.set_edns(edns);
        }
        message.to_vec().unwrap()
    }
}

/// A message with the number of octets that it had.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) message: Message,
    pub(crate) octets: usize,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        Self {
            message: Message::from_vec(bytes).unwrap(),
            octets: bytes.len(),
        }
    }

    /// The addresses in it.
    pub(crate) fn addresses(&self) -> Vec<Ipv4Addr> {
        let answers = self.message.answers.iter();
        answers
            .filter_map(|record| match &record.data {
                RData::A(address) => Some(address.0),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn rcode(&self) -> u16 {
        self.message.metadata.response_code.into()
    }

    /// The TTL of the first record of the answer section.
    pub(crate) fn ttl(&self) -> u32 {
        self.message.answers[0].ttl
    }

    /// The INFO-CODE of an Extended DNS Error (RFC 8914).
    pub(crate) fn extended_error(&self) -> Option<u16> {
        match self.option(EdnsCode::Unknown(15))? {
            EdnsOption::Unknown(_, data) => Some(u16::from_be_bytes([data[0], data[1]])),
            _ => None,
        }
    }

    /// The name server identifier (RFC 5001).
    pub(crate) fn nsid(&self) -> Option<String> {
        match self.option(EdnsCode::NSID)? {
            EdnsOption::NSID(id) => Some(String::from_utf8(id.as_ref().to_vec()).unwrap()),
            _ => None,
        }
    }

    /// The text of the first record of the answer section.
    pub(crate) fn text(&self) -> String {
        self.message.answers[0].data.to_string()
    }

    fn option(&self, code: EdnsCode) -> Option<&EdnsOption> {
        self.message.edns.as_ref()?.option(code)
    }
}

/// One UDP socket towards a node.
pub(crate) struct Client {
    socket: UdpSocket,
    to: SocketAddr,
}

impl Client {
    pub(crate) fn new(to: SocketAddr) -> Self {
        Self::from(Ipv4Addr::LOCALHOST.into(), to)
    }

    /// With this source address.
    pub(crate) fn from(source: IpAddr, to: SocketAddr) -> Self {
        let socket = UdpSocket::bind((source, 0)).unwrap();
        socket.connect(to).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self { socket, to }
    }

    pub(crate) fn send(&self, question: &Question) {
        self.socket.send(&question.to_vec()).unwrap();
    }

    /// The next answer, whatever it answers.
    pub(crate) fn receive(&self) -> Answer {
        let mut buffer = [0; 65_535];
        let octets = self.socket.recv(&mut buffer).expect("an answer over UDP");
        Answer::read(&buffer[..octets])
    }

    /// Asks over UDP; the answer has the right id and question.
    pub(crate) fn ask(&self, question: &Question) -> Answer {
        self.try_ask(question, LIMIT).expect("an answer over UDP")
    }

    /// As [`Self::ask`]; `None` when nothing came in time.
    pub(crate) fn try_ask(&self, question: &Question, patience: Duration) -> Option<Answer> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        // An error that an earlier message had caused is not this one's.
        let sent = self.socket.send(&question.to_vec());
        sent.or_else(|_| self.socket.send(&question.to_vec()))
            .ok()?;
        let mut buffer = [0; 65_535];
        loop {
            let octets = self.socket.recv(&mut buffer).ok()?;
            let answer = Answer::read(&buffer[..octets]);
            if answer.message.metadata.id == question.id {
                check(&answer, question);
                return Some(answer);
            }
        }
    }

    /// Asks over TCP.
    pub(crate) fn ask_tcp(&self, question: &Question) -> Answer {
        let mut stream = connect(self.to).unwrap();
        stream.write_all(&framed(&question.to_vec())).unwrap();
        let answer = read_message(&mut stream).unwrap();
        check(&answer, question);
        answer
    }
}

fn check(answer: &Answer, question: &Question) {
    let message = &answer.message;
    assert_eq!(message.metadata.id, question.id);
    let name = Name::from_ascii(&question.name).unwrap();
    assert_eq!(message.queries[0].name(), &name);
    assert_eq!(message.queries[0].query_type(), question.rtype);
    assert_eq!(message.edns.is_some(), question.edns.is_some());
}

/// A TCP connection that gives up in the end.
pub(crate) fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// With its length before it (RFC 1035 §4.2.2).
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap();
    [&length.to_be_bytes(), message].concat()
}

/// One message with its length before it.
pub(crate) fn read_message(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(Answer::read(&message))
}
