//! Random octets from a seed that a failure shows.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use super::client::a;

/// A generator of trouble.
pub(crate) struct Garbage {
    random: StdRng,
}

impl Garbage {
    /// With a new seed, which is printed; to repeat a run put it in `SIDESTEP_TEST_SEED`.
    #[expect(clippy::print_stderr, reason = "a failing seed is printed")]
    pub(crate) fn new() -> Self {
        let given = std::env::var("SIDESTEP_TEST_SEED").ok();
        let seed = given.map_or_else(rand::random, |seed| seed.parse().unwrap());
        eprintln!("SIDESTEP_TEST_SEED={seed}");
        Self {
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// Random octets, as many as in `0..=max`.
    pub(crate) fn octets(&mut self, max: usize) -> Vec<u8> {
        let mut octets = vec![0; self.random.random_range(0..=max)];
        self.random.fill_bytes(&mut octets);
        octets
    }

    /// A good question with a few octets changed, or cut short, or both.
    pub(crate) fn broken_question(&mut self) -> Vec<u8> {
        let mut message = a(&format!("name-{}.example.", self.random.random::<u64>())).to_vec();
        for _ in 0..self.random.random_range(1..6) {
            let at = self.random.random_range(0..message.len());
            message[at] = self.random.random();
        }
        if self.random.random_bool(0.3) {
            message.truncate(self.random.random_range(0..=message.len()));
        }
        message
    }

    /// Datagrams from a few ports, as many as `count`.
    pub(crate) fn flood_udp(&mut self, to: SocketAddr, count: usize) {
        let sockets: Vec<_> = (0..4)
            .map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
            .collect();
        for number in 0..count {
            let message = match number % 2 {
                0 => self.octets(600),
                _ => self.broken_question(),
            };
            // A full buffer loses it, as it may.
            let _ = sockets[number % sockets.len()].send_to(&message, to);
        }
    }

    /// Connections that each say something and are closed, one way or another.
    pub(crate) fn flood_tcp(&mut self, from: Ipv4Addr, to: SocketAddr, count: usize) {
        for number in 0..count {
            let octets = match number % 3 {
                0 => self.octets(2000),
                1 => self.plausible_bgp(),
                _ => super::client::framed(&self.broken_question()),
            };
            let Ok(mut stream) = connect_from(from, to) else {
                continue;
            };
            // It may have been closed already.
            let _ = stream.write_all(&octets);
            if number % 2 == 0 {
                let _ = stream.shutdown(Shutdown::Write);
                let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
                let _ = stream.read(&mut [0; 512]);
            }
        }
    }

    /// A marker, a length and a type that look right, and nothing behind them that does.
    fn plausible_bgp(&mut self) -> Vec<u8> {
        let body = self.octets(200);
        let length = u16::try_from(19 + body.len()).unwrap();
        let kind = self.random.random_range(0..6);
        [&[0xFF; 16], &length.to_be_bytes()[..], &[kind], &body].concat()
    }
}

/// A TCP connection with this source address.
pub(crate) fn connect_from(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&to.into(), Duration::from_secs(5))?;
    Ok(socket.into())
}
