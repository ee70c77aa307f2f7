//! What a start waits for besides its own sockets: that each upstream was reached or is given up on,
//! and that the names that were hot before the restart are in the cache again. On a thread of its own:
//! it reads and writes on a disk that may be slow, and must hold up nobody who keeps time.
//!
//! Neither holds a start up for long: [`UPSTREAMS_WAIT`], then `dns.warm_start.wait`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{interval_at, sleep, timeout};

use crate::config::Config;
use crate::dns::WarmSettings;
use crate::dns::cache::{Lookup, Scratch};
use crate::dns::key::Key;
use crate::dns::shared::Shared;
use crate::dns::upstream::Upstreams;
use crate::dns::warm::{self, FILE_OCTETS_MAX};
use crate::health::StartGate;

/// An upstream that is neither reached nor given up on by then is waited for no longer.
const UPSTREAMS_WAIT: Duration = Duration::from_secs(2);
/// Between two looks at whether it is done.
const LOOK: Duration = Duration::from_millis(10);
const FILE: &str = "hot-names";

/// Opens the gates of a start, then keeps the file of hot names.
pub(super) struct Warmth {
    settings: WarmSettings,
    shared: Arc<Shared>,
    upstreams: Arc<Upstreams>,
    /// `None`: nothing is kept.
    file: Option<PathBuf>,
    gates: mpsc::Sender<StartGate>,
}

impl Warmth {
    /// For the file in the state directory, if there is to be one; opened gates are sent to `gates`.
    pub(super) fn new(
        config: &Config,
        shared: &Arc<Shared>,
        upstreams: &Arc<Upstreams>,
        gates: mpsc::Sender<StartGate>,
    ) -> Self {
        let settings = config.dns.warm_start.clone();
        let is_wanted = settings.enabled && settings.names > 0;
        let state = config.state.as_deref();
        let file = state.filter(|_| is_wanted).map(|state| state.join(FILE));
        Self {
            settings,
            shared: Arc::clone(shared),
            upstreams: Arc::clone(upstreams),
            file,
            gates,
        }
    }

    /// What a start has to wait for.
    pub(super) fn expected(&self) -> impl Iterator<Item = StartGate> {
        let hot = self.file.as_ref().map(|_| StartGate::HotNames);
        [StartGate::Upstreams].into_iter().chain(hot)
    }

    /// Runs until `stop` says so or its sender is gone; then writes the file a last time.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            () = self.open_gates() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let Some(file) = self.file.take() else {
            return;
        };
        let every = self.settings.interval;
        let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
        loop {
            let stopped = tokio::select! {
                _ = ticks.tick() => false,
                _ = stop.wait_for(|stop| *stop) => true,
            };
            self.keep(&file);
            if stopped {
                return;
            }
        }
    }

    async fn open_gates(&mut self) {
        let keys = self.read().await;
        let began = Instant::now();
        while !self.upstreams.is_settled() && began.elapsed() < UPSTREAMS_WAIT {
            sleep(LOOK).await;
        }
        self.open(StartGate::Upstreams);
        if keys.is_empty() {
            self.open(StartGate::HotNames);
            return;
        }
        let began = Instant::now();
        let (all, queue) = (keys.len(), self.shared.warm_queue());
        queue.fill(keys.iter().copied());
        let mut missing = keys;
        while began.elapsed() < self.settings.wait {
            let now = Instant::now();
            missing.retain(|key| !self.is_known(key, now));
            let is_dropped = u64::try_from(missing.len()).is_ok_and(|n| n <= queue.dropped());
            if missing.is_empty() || (queue.left() == 0 && is_dropped) {
                break;
            }
            sleep(LOOK).await;
        }
        queue.clear();
        tracing::info!(
            names = all,
            fetched = all - missing.len(),
            seconds = began.elapsed().as_secs_f32(),
            "the cache is warm"
        );
        self.open(StartGate::HotNames);
    }

    /// What was hot. A disk that does not answer within the time that warming may take knows nothing.
    async fn read(&self) -> Vec<Key> {
        let Some(file) = self.file.clone() else {
            return Vec::new();
        };
        let names = self.settings.names;
        let reading = spawn_blocking(move || read(&file, names));
        match timeout(self.settings.wait, reading).await {
            Ok(keys) => keys.unwrap_or_default(),
            Err(_) => {
                tracing::warn!("hot names not read in time: starting without");
                Vec::new()
            }
        }
    }

    /// Whether the cache has anything to say, be it a failure.
    fn is_known(&self, key: &Key, now: Instant) -> bool {
        let mut scratch = Scratch::new();
        let found = self.shared.cache().lookup(key, now, &mut scratch);
        matches!(found, Lookup::Fresh(_))
    }

    fn open(&self, gate: StartGate) {
        // There is room for each gate, and the routing thread may have ended.
        let _ = self.gates.try_send(gate);
    }

    fn keep(&self, file: &Path) {
        let cache = self.shared.cache();
        let start: u32 = rand::random();
        let start = usize::try_from(start).unwrap_or_default();
        let hot = cache.hot(self.settings.names, start, Instant::now());
        // An empty cache has nothing to teach: what a predecessor knew is worth more.
        if hot.is_empty() {
            return;
        }
        match write(file, &warm::to_text(&hot)) {
            Ok(()) => tracing::debug!(names = hot.len(), "hot names kept"),
            Err(error) => tracing::warn!(file = %file.display(), %error, "hot names not kept"),
        }
    }
}

fn read(file: &Path, most: usize) -> Vec<Key> {
    let read = || {
        let mut octets = Vec::new();
        let bound = u64::try_from(FILE_OCTETS_MAX).unwrap_or(u64::MAX);
        File::open(file)?.take(bound).read_to_end(&mut octets)?;
        Ok::<_, io::Error>(octets)
    };
    match read() {
        Ok(octets) => {
            let (keys, skipped) = warm::from_text(&String::from_utf8_lossy(&octets), most);
            if skipped > 0 {
                tracing::warn!(file = %file.display(), skipped, "lines that are no questions");
            }
            keys
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "hot names not read");
            Vec::new()
        }
    }
}

/// Replaces the file as a whole or not at all.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    let mut writer = File::create(&new)?;
    writer.write_all(text.as_bytes())?;
    writer.sync_all()?;
    fs::rename(&new, file)
}
