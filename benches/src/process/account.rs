//! What the kernel has written down about a process: CPU time and resident memory.
//!
//! CPU time is the sum of the first field of `/proc/ID/task/*/schedstat`: nanoseconds on a core.
//! `utime` and `stime` of `/proc/ID/stat` count in hundredths of a second, too coarse for a turn
//! of less than a second at a low rate; but they keep the time of threads that have ended, which
//! `schedstat` loses. So both are read, and the coarse one is believed where it shows more than
//! its own grain can explain.

use std::fs;
use std::io;
use std::time::Duration;

/// `USER_HZ`: 100 on every architecture that Linux runs this on.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of a process up to a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CpuTime {
    /// Of the threads that live, to the nanosecond.
    live: Duration,
    /// Of all threads there ever were, in ticks.
    all: Duration,
}

impl CpuTime {
    pub(super) fn of(id: u32) -> io::Result<Self> {
        let mut live = Duration::ZERO;
        for task in fs::read_dir(format!("/proc/{id}/task"))? {
            // A thread may end while the folder is read.
            let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            live += on_core(&text).unwrap_or_default();
        }
        let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
        let all = ticks(&stat).ok_or_else(|| unreadable("stat"))?;
        Ok(Self { live, all })
    }

    /// The time used since `before`.
    pub(crate) fn since(self, before: Self) -> Duration {
        let live = self.live.saturating_sub(before.live);
        let all = self.all.saturating_sub(before.all);
        if all > live + 3 * TICK { all } else { live }
    }
}

/// Memory that a process has in RAM, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Everything: `VmRSS`. A cache in a mapped file counts here only.
    pub(crate) resident: u64,
    /// What belongs to no file: `RssAnon`.
    pub(crate) anonymous: u64,
}

impl Memory {
    pub(super) fn of(id: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let field = |name| kibibytes(&status, name).ok_or_else(|| unreadable(name));
        Ok(Self {
            resident: field("VmRSS:")?,
            anonymous: field("RssAnon:")?,
        })
    }
}

fn unreadable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// The first field of a `schedstat`: nanoseconds on a core.
fn on_core(schedstat: &str) -> Option<Duration> {
    let ns = schedstat.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(ns))
}

/// `utime` + `stime`: fields 14 and 15 of a `stat`. The name in field 2 may hold anything.
fn ticks(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user.checked_add(system)?)
}

fn kibibytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let number: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    number.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_figures_are_read() {
        let time = on_core("123456789 42 7\n").unwrap();
        assert_eq!(time, Duration::from_nanos(123_456_789));
        assert_eq!(on_core(""), None);
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 150 25 0 0 20 0 3 0 99 1 2 3";
        assert_eq!(ticks(stat), Some(Duration::from_millis(1750)));
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nRssAnon:\t    1024 kB\n";
        assert_eq!(kibibytes(status, "VmRSS:"), Some(2048 * 1024));
        assert_eq!(kibibytes(status, "VmSwap:"), None);
    }

    #[test]
    fn time_of_ended_threads_is_not_lost_and_the_grain_of_ticks_is_not_believed() {
        let at = |live_ms, all_ms| CpuTime {
            live: Duration::from_millis(live_ms),
            all: Duration::from_millis(all_ms),
        };
        let used = at(151, 170).since(at(100, 100));
        assert_eq!(used, Duration::from_millis(51), "two ticks are grain");
        let used = at(60, 300).since(at(100, 100));
        assert_eq!(used, Duration::from_millis(200), "a thread has ended");
    }

    #[test]
    fn this_process_has_time_and_memory() {
        let before = CpuTime::of(std::process::id()).unwrap();
        let memory = Memory::of(std::process::id()).unwrap();
        assert!(memory.resident >= memory.anonymous && memory.anonymous > 0);
        let after = CpuTime::of(std::process::id()).unwrap();
        assert!(after.live >= before.live);
    }
}
