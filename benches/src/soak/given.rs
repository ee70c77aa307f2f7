//! What the fake upstream gave, shared with those who check.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::version::{Key, Version};

const PARTS: usize = 64;
/// Versions remembered of one question. One that is asked for again and again is given a new version
/// as often only while its TTLs are 0, so the one that is cached is among these.
const VERSIONS_MAX: usize = 32;

/// A version and when it was sent, in ms since the soak began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) version: Version,
    pub(super) at_ms: u64,
}

/// What happened to one question.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) given: VecDeque<Given>,
    /// When the upstream last left it without an answer over UDP.
    pub(super) silent_ms: Option<u64>,
    last: u32,
}

/// All questions of an episode: at most two for each of its names.
pub(super) struct Log(Vec<Mutex<HashMap<Key, History>>>);

impl Log {
    pub(super) fn new() -> Self {
        Self((0..PARTS).map(|_| Mutex::default()).collect())
    }

    /// Forgets everything; version numbers begin again.
    pub(super) fn clear(&self) {
        for part in &self.0 {
            *lock(part) = HashMap::new();
        }
    }

    /// A new version for `key`, written down as sent at `now_ms`.
    pub(super) fn give(&self, key: Key, now_ms: u64) -> Version {
        let mut part = self.part(key);
        let history = part.entry(key).or_default();
        history.last = history.last.wrapping_add(1);
        let version = Version {
            key,
            number: history.last,
        };
        if history.given.len() == VERSIONS_MAX {
            history.given.pop_front();
        }
        let at_ms = now_ms;
        history.given.push_back(Given { version, at_ms });
        version
    }

    /// Writes down that `key` is left without an answer over UDP.
    pub(super) fn fall_silent(&self, key: Key, now_ms: u64) {
        self.part(key).entry(key).or_default().silent_ms = Some(now_ms);
    }

    /// Calls `look` with what happened to `key`.
    pub(super) fn with<T>(&self, key: Key, look: impl FnOnce(&History) -> T) -> T {
        look(self.part(key).entry(key).or_default())
    }

    fn part(&self, key: Key) -> MutexGuard<'_, HashMap<Key, History>> {
        lock(&self.0[key.number() as usize % PARTS])
    }
}

/// A thread that panicked ends the soak anyway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
