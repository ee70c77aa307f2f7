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
        assert_eq!(opened(&folder).1, State::default());
        assert!(!file(&folder).exists());
        let bad = folder.path().join("state.json.bad");
        assert_eq!(fs::read(bad).unwrap(), garbage);
    }
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
