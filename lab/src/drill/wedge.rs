//! One thread of a program stands still, and the others do not: as if it were caught in a loop.
//!
//! The lab attaches to it as a debugger does (ptrace(2)); the program needs nothing for that.

use std::fs;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// A thread that stands still until this is dropped.
pub(super) struct Wedged {
    release: Option<SyncSender<()>>,
    tracer: Option<JoinHandle<Result<()>>>,
}

impl Wedged {
    /// Stops the thread of that name.
    ///
    /// # Errors
    /// There is no such thread, or somebody else is attached to it.
    pub(super) fn hold(process: u32, name: &str) -> Result<Self> {
        let thread = find(process, name)?;
        let (release, released) = sync_channel(1);
        let (held, is_held) = sync_channel(1);
        // Only the thread that attached can let go.
        let tracer = std::thread::Builder::new()
            .name("tracer".to_owned())
            .spawn(move || {
                ptrace::seize(thread, ptrace::Options::empty()).context("ptrace")?;
                ptrace::interrupt(thread)?;
                waitpid(thread, Some(WaitPidFlag::__WALL))?;
                held.send(())?;
                // Dropping the other end releases as well.
                let _ = released.recv();
                ptrace::detach(thread, None)?;
                Ok(())
            })?;
        let mut wedged = Self {
            release: Some(release),
            tracer: Some(tracer),
        };
        if is_held.recv().is_err() {
            wedged.end()?;
        }
        Ok(wedged)
    }

    /// Lets it go on.
    pub(super) fn release(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        self.release = None;
        match self.tracer.take() {
            Some(tracer) => tracer.join().map_err(|_| anyhow!("tracer panicked"))?,
            None => Ok(()),
        }
    }
}

impl Drop for Wedged {
    fn drop(&mut self) {
        // The process may have ended: then there is nothing to let go.
        let _ = self.end();
    }
}

fn find(process: u32, name: &str) -> Result<Pid> {
    for entry in fs::read_dir(format!("/proc/{process}/task"))? {
        let entry = entry?;
        let comm = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if comm.trim_end() == name {
            let id = entry.file_name().to_string_lossy().parse()?;
            return Ok(Pid::from_raw(id));
        }
    }
    Err(anyhow!("process {process} has no thread {name}"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn state(process: u32) -> String {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        let state = text.rsplit(") ").next().unwrap().split(' ').next();
        state.unwrap().to_owned()
    }

    #[test]
    fn a_thread_stands_still_until_it_is_released() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        // Before it is `sleep` it is called as this test.
        while find(child.id(), "sleep").is_err() {
            std::thread::yield_now();
        }
        match Wedged::hold(child.id(), "sleep") {
            Ok(wedged) => {
                assert_eq!(state(child.id()), "t");
                wedged.release().unwrap();
                assert_ne!(state(child.id()), "t");
            }
            Err(error) => assert!(error.to_string().contains("ptrace"), "{error:#}"),
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_thread_that_is_not_there_is_an_error() {
        assert!(find(std::process::id(), "no such thread").is_err());
    }
}
