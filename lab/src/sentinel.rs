//! A pair of hosts on a path that no drill touches: what they miss, the machine itself missed.

#![expect(clippy::disallowed_methods, reason = "measures the machine it runs on")]

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::namespace;
use crate::place::{SENTINEL_ADDRESS, SENTINELS};
use crate::runner::Paths;

/// With a longer silence than this, a repetition says nothing about the lab.
pub(crate) const LIMIT: Duration = Duration::from_millis(30);
const INTERVAL: Duration = Duration::from_millis(5);
/// Any unused port.
const PORT: u16 = 7007;

/// Echoes that go to and fro until `finish`.
pub(crate) struct Sentinel {
    is_over: Arc<AtomicBool>,
    asker: JoinHandle<std::io::Result<Duration>>,
    answerer: JoinHandle<std::io::Result<()>>,
}

impl Sentinel {
    /// Starts both ends.
    pub(crate) fn start(paths: &Paths) -> Result<Self> {
        let [asker, answerer] = SENTINELS.map(|node| paths.namespace(node));
        let answerer = namespace::inside(&answerer, || {
            UdpSocket::bind((SENTINEL_ADDRESS, PORT)).context("sentinel")
        })?;
        let asker = namespace::inside(&asker, || {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect((SENTINEL_ADDRESS, PORT))?;
            Ok(socket)
        })?;
        for socket in [&asker, &answerer] {
            socket.set_read_timeout(Some(INTERVAL))?;
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let flags = (Arc::clone(&is_over), Arc::clone(&is_over));
        let answerer = std::thread::Builder::new()
            .name("sentinel-answer".to_owned())
            .spawn(move || answer(&answerer, &flags.0))?;
        let asker = std::thread::Builder::new()
            .name("sentinel-ask".to_owned())
            .spawn(move || ask(&asker, &flags.1))?;
        Ok(Self {
            is_over,
            asker,
            answerer,
        })
    }

    /// Ends it and returns the longest time without an echo.
    pub(crate) fn finish(self) -> Result<Duration> {
        self.is_over.store(true, Ordering::Relaxed);
        let longest = self
            .asker
            .join()
            .map_err(|_| anyhow!("sentinel panicked"))??;
        self.answerer
            .join()
            .map_err(|_| anyhow!("sentinel panicked"))??;
        Ok(longest)
    }
}

fn answer(socket: &UdpSocket, is_over: &AtomicBool) -> std::io::Result<()> {
    let mut buffer = [0; 64];
    while !is_over.load(Ordering::Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            socket.send_to(buffer.get(..length).unwrap_or_default(), from)?;
        }
    }
    Ok(())
}

fn ask(socket: &UdpSocket, is_over: &AtomicBool) -> std::io::Result<Duration> {
    let mut buffer = [0; 64];
    let mut longest = Duration::ZERO;
    let mut last_echo = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        let next = Instant::now() + INTERVAL;
        socket.send(b"still there")?;
        if socket.recv(&mut buffer).is_ok() {
            let now = Instant::now();
            longest = longest.max(now - last_echo);
            last_echo = now;
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(longest.max(last_echo.elapsed()))
}
