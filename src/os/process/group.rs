//! Process groups of programs that the node has started.
//!
//! Source: kill(2).
#![expect(unsafe_code, reason = "std can end a process, but not its group")]

use std::io;

/// Kills every process of the group that the process `leader` was made to lead (SIGKILL).
///
/// # Errors
/// There is nobody in it any more, or `leader` can be nobody's number.
pub fn kill_group(leader: u32) -> io::Result<()> {
    let leader = libc::pid_t::try_from(leader).map_err(io::Error::other)?;
    // -1 would be everybody, and 0 the group of this process.
    if leader <= 1 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: kill(2) takes two numbers and touches no memory of this process.
    match unsafe { libc::kill(-leader, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    use super::*;

    #[test]
    fn a_group_is_killed_with_all_that_is_in_it_and_nobody_else() {
        let mut child = Command::new("/bin/sh")
            .args(["-c", "sleep 60 & sleep 60"])
            .process_group(0)
            .spawn()
            .unwrap();
        kill_group(child.id()).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        for nobody in [0, 1, u32::MAX] {
            assert!(kill_group(nobody).is_err(), "{nobody}");
        }
    }
}
