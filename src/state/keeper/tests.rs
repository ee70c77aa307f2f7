use std::path::PathBuf;

use prometheus::Registry;
use tempfile::TempDir;

use super::*;

fn metrics() -> Metrics {
    Metrics::register(&Registry::new()).unwrap()
}

fn state(service: &str) -> State {
    State {
        version: VERSION,
        running: true,
        drains: vec![super::super::Drain {
            service: Some(service.to_owned()),
            ..super::super::Drain::default()
        }],
        ..State::default()
    }
}

fn wish(service: &str, urgency: u64) -> Wish {
    Wish {
        state: Arc::new(state(service)),
        urgency,
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join(FILE)
}

/// The service that the file tells of.
fn told(folder: &TempDir) -> Option<String> {
    let state = State::from_json(&fs::read(file(folder)).ok()?).unwrap();
    state.drains[0].service.clone()
}

fn opened(folder: &TempDir) -> (Keeper, State) {
    Keeper::open(folder.path(), metrics()).unwrap()
}

#[test]
fn what_a_predecessor_has_left_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (mut keeper, found) = opened(&folder);
    assert_eq!(found, State::default());
    keeper.write(&state("resolver")).unwrap();
    assert!(keeper.metrics.is_kept());
    assert_eq!(opened(&folder).1, state("resolver"));
}

#[test]
fn a_file_that_cannot_be_read_is_put_aside() {
    for garbage in [vec![b'{'], vec![b' '; OCTETS_MAX + 1], vec![0xFF; 10]] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(file(&folder), &garbage).unwrap();
        let (keeper, found) = opened(&folder);
        assert_eq!(found, State::default());
        assert!(keeper.has_lost());
        assert!(!file(&folder).exists());
        let bad = folder.path().join("state.json.bad");
        assert_eq!(fs::read(bad).unwrap(), garbage);
    }
}

#[test]
fn what_can_be_read_of_a_spoiled_file_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let drain = r#"{"service":"resolver","who":"ops","reason":"","since_ms":7,"until_ms":null}"#;
    let spoiled = format!(
        r#"{{"version":1,"running":true,"pid":0,"targets":7,"drains":[{drain},{{"since_ms":-1}}]}}"#
    );
    State::from_json(spoiled.as_bytes()).unwrap_err();
    fs::write(file(&folder), &spoiled).unwrap();
    let (keeper, found) = opened(&folder);
    assert!(keeper.has_lost());
    assert!(found.running);
    assert_eq!(found.drains.len(), 1);
    assert_eq!(found.drains[0].service.as_deref(), Some("resolver"));
    let (keeper, found) = opened(&folder);
    assert!(!keeper.has_lost(), "it was put aside");
    assert_eq!(found, State::default());
}

/// Its process is a thread of another: one that lives, and has the name of this program.
#[test]
fn what_another_process_has_drained_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (mut keeper, _) = opened(&folder);
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    let own = fs::read_to_string("/proc/self/comm").unwrap();
    let other = std::thread::spawn(move || {
        fs::write("/proc/thread-self/comm", own.trim()).unwrap();
        let id = fs::read_link("/proc/thread-self").unwrap();
        tell.send(id.file_name().unwrap().to_owned()).unwrap();
        let _ = ended.recv();
    });
    let pid = told.recv().unwrap().to_str().unwrap().parse().unwrap();
    let running = State {
        pid,
        ..state("resolver")
    };
    keeper.write(&running).unwrap();
    match Keeper::open(folder.path(), metrics()) {
        Err(KeeperError::InUse { pid: of, found }) => {
            assert_eq!((of, *found), (pid, running));
        }
        other => panic!("{other:?}"),
    }
    drop(end);
    other.join().unwrap();
}

#[test]
fn an_own_process_id_of_a_former_life_is_no_other_node() {
    let folder = tempfile::tempdir().unwrap();
    let (mut keeper, _) = opened(&folder);
    for pid in [process::id(), 0, u32::MAX] {
        let running = State {
            pid,
            ..state("resolver")
        };
        keeper.write(&running).unwrap();
        assert_eq!(opened(&folder).1, running);
    }
}

/// proc_pid_stat(5).
#[test]
fn another_node_is_a_living_process_of_the_same_program() {
    let own = "7 (sidestep) R 1 7 7";
    for (other, expected) in [
        ("9 (sidestep) S 1 9 9", true),
        ("9 (sidestep) T 1 9 9", true),
        ("9 (sidestep) Z 1 9 9", false),
        ("9 (sidestep) X 1 9 9", false),
        ("9 (bash) S 1 9 9", false),
        ("9 (a) Z) S 1 9 9", false),
        ("9 (sidestep)", false),
        ("", false),
    ] {
        assert_eq!(is_another(own, other), expected, "{other}");
    }
    assert!(!is_alive(0));
}

#[tokio::test(start_paused = true)]
async fn routine_wishes_are_written_once_a_second_and_the_latest_wins() {
    let folder = tempfile::tempdir().unwrap();
    let (mut keeper, _) = opened(&folder);
    keeper.write(&state("start")).unwrap();
    let metrics = keeper.metrics.clone();
    let (sender, wishes) = watch::channel(Wish::default());
    let wishing = async {
        for index in 0..40 {
            sender.send_replace(wish(&format!("wish-{index}"), 0));
            tokio::time::sleep(Duration::from_millis(100)).await;
            let writes = metrics.writes.get() - 1;
            let seconds = (index + 1) / 10;
            assert!(writes <= seconds, "{writes} writes in {seconds} s");
        }
        assert!(metrics.writes.get() >= 4, "{}", metrics.writes.get());
        drop(sender);
    };
    tokio::join!(keeper.run(wishes), wishing);
    assert_eq!(told(&folder).as_deref(), Some("wish-39"));
}

#[tokio::test(start_paused = true)]
async fn urgent_wishes_and_the_last_one_do_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (mut keeper, _) = opened(&folder);
    keeper.write(&state("start")).unwrap();
    let (sender, wishes) = watch::channel(Wish::default());
    let began = Instant::now();
    let wishing = async {
        for urgency in 1..4 {
            let name = format!("urgent-{urgency}");
            sender.send_replace(wish(&name, urgency));
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            assert_eq!(told(&folder), Some(name));
        }
        sender.send_replace(wish("routine", 3));
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(told(&folder).as_deref(), Some("urgent-3"));
        drop(sender);
    };
    tokio::join!(keeper.run(wishes), wishing);
    assert_eq!(told(&folder).as_deref(), Some("routine"));
    assert!(began.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_written_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let (keeper, _) = opened(&folder);
    let metrics = keeper.metrics.clone();
    // A folder cannot be replaced by a file, whoever tries.
    fs::create_dir_all(file(&folder).join("below")).unwrap();
    let (sender, wishes) = watch::channel(Wish::default());
    let wishing = async {
        sender.send_replace(wish("resolver", 1));
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(metrics.errors.get() == 1 && !metrics.is_kept());
        fs::remove_dir_all(file(&folder)).unwrap();
        tokio::time::sleep(RETRY).await;
        assert!(metrics.is_kept());
        assert_eq!(told(&folder).as_deref(), Some("resolver"));
        drop(sender);
    };
    tokio::join!(keeper.run(wishes), wishing);
}

#[tokio::test(start_paused = true)]
async fn a_keeper_whose_disk_is_full_ends_with_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let (keeper, _) = opened(&folder);
    fs::create_dir_all(file(&folder).join("below")).unwrap();
    let (sender, wishes) = watch::channel(Wish::default());
    sender.send_replace(wish("resolver", 1));
    drop(sender);
    keeper.run(wishes).await;
}
