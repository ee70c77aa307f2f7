//! Namespaces of a node: a named network namespace, and a process that holds its mount and host
//! name namespaces.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Pid, User, chown, pause, sethostname};

use crate::runner::Paths;
use crate::topology::{Bind, Program, Topology};

/// Where `ip netns` keeps its names.
const FOLDER: &str = "/run/netns";

/// The file of a network namespace.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// All network namespaces whose names begin so.
pub(crate) fn names(prefix: &str) -> Result<Vec<String>> {
    let Ok(entries) = fs::read_dir(FOLDER) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string()
            && name.starts_with(prefix)
        {
            found.push(name);
        }
    }
    Ok(found)
}

/// Every live process in that network namespace.
pub(crate) fn processes(namespace: &Path) -> Result<Vec<Pid>> {
    let identity = |path: &Path| fs::metadata(path).map(|m| (m.dev(), m.ino()));
    let wanted = identity(namespace)?;
    ensure!(
        wanted != identity(Path::new("/proc/self/ns/net"))?,
        "{} is the namespace of this very process",
        namespace.display()
    );
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let pid = entry.file_name().to_str().and_then(|n| n.parse().ok());
        // A process that ended meanwhile, or is only waiting to be reaped, has no namespace.
        if let Some(pid) = pid
            && identity(&entry.path().join("ns/net")).is_ok_and(|found| found == wanted)
        {
            found.push(Pid::from_raw(pid));
        }
    }
    Ok(found)
}

/// Runs `work` on a thread inside a network namespace. Sockets that it opens stay there.
pub(crate) fn inside<T: Send>(
    namespace: &Path,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    let file = fs::File::open(namespace)
        .with_context(|| format!("no namespace {}; is the lab up?", namespace.display()))?;
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET).context("cannot enter the namespace")?;
            work()
        });
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Runs a command of the system to its end and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?}: {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The hidden `hold` command: already in the network namespace, makes the other two, says
/// `ready` and stays.
pub(crate) fn hold(paths: &Paths, name: &str) -> Result<()> {
    let topology = Topology::read(&paths.topology)?;
    let node = topology.node(name)?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)?;
    sethostname(name)?;
    mount_over("/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
    for folder in ["/run", "/var/tmp"] {
        mount_tmpfs(Path::new(folder))?;
    }
    for bind in &node.binds {
        bind_into(&paths.folder, bind).with_context(|| format!("bind {}", bind.target))?;
    }
    if node.program == Program::Frr {
        // FRR drops to its own user before it opens its sockets.
        let user = User::from_name("frr")?.context("no user frr: install the package frr")?;
        fs::create_dir("/run/frr")?;
        chown("/run/frr", Some(user.uid), Some(user.gid))?;
    }
    if matches!(node.program, Program::Bird(_)) {
        fs::create_dir("/run/bird")?;
    }
    for (key, value) in &node.sysctls {
        let file = Path::new("/proc/sys").join(key.replace('.', "/"));
        fs::write(&file, value).with_context(|| format!("sysctl {key}"))?;
    }
    let mut out = std::io::stdout();
    out.write_all(b"ready\n")?;
    out.flush()?;
    loop {
        pause();
    }
}

fn mount_over(target: impl AsRef<Path>, source: Option<&Path>, flags: MsFlags) -> Result<()> {
    let target = target.as_ref();
    mount(source, target, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("cannot mount over {}", target.display()))
}

fn mount_tmpfs(target: &Path) -> Result<()> {
    let (kind, options) = (Some("tmpfs"), Some("mode=0755"));
    mount(kind, target, kind, MsFlags::empty(), options)
        .with_context(|| format!("cannot mount a tmpfs on {}", target.display()))
}

fn bind_into(folder: &Path, bind: &Bind) -> Result<()> {
    let source = folder.join(&bind.source);
    let target = Path::new(&bind.target);
    if !target.exists() {
        make_private(target)?;
        if source.is_dir() {
            fs::create_dir_all(target)?;
        } else {
            fs::create_dir_all(target.parent().context("no folder above it")?)?;
            fs::File::create(target)?;
        }
    }
    mount_over(target, Some(&source), MsFlags::MS_BIND)
}

/// A mount point has to exist, and the host's folders must not change: the first folder of the
/// path becomes a copy that only this node sees.
fn make_private(target: &Path) -> Result<()> {
    let top = target.components().take(2).collect::<PathBuf>();
    let copy = Path::new("/run/lab-copy").join(top.strip_prefix("/")?);
    if !target.starts_with("/run") && !copy.exists() {
        fs::create_dir_all(&copy)?;
        output(Command::new("cp").arg("-a").arg(top.join(".")).arg(&copy))?;
        mount_over(&top, Some(&copy), MsFlags::MS_BIND)?;
    }
    Ok(())
}
