use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::announce::tests::service;
use crate::health::{DrainPhase, ServicePolicy, Settings};

fn metrics() -> telemetry::Metrics {
    telemetry::Metrics::new().unwrap()
}

struct World {
    folder: TempDir,
    services: Vec<ServiceSettings>,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let mut other = service();
        other.name = "other".to_owned();
        #[expect(
            clippy::disallowed_methods,
            reason = "simulated time has to begin somewhere"
        )]
        let now = Instant::now();
        Self {
            folder: tempfile::tempdir().unwrap(),
            services: vec![service(), other],
            now,
        }
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join("sidestep")
    }

    fn open(&self) -> (Records, impl Future<Output = ()> + Send + use<>) {
        let directory = self.directory();
        let records = open(Some(&directory), &self.services, &metrics(), self.now);
        let mut records = records.unwrap();
        let keeping = records.begin();
        (records, keeping)
    }

    fn health(&self) -> Health {
        let second = Duration::from_secs(1);
        let settings = Settings {
            interval: second / 5,
            fall: 3,
            rise: 5,
            hold_down: second,
            drain_wait: second,
            linger: second,
            jitter: Duration::ZERO,
            promotions_per_hour: 12,
            seed: 1,
        };
        let policies: Vec<ServicePolicy> = self.services.iter().map(|s| s.policy()).collect();
        Health::new(settings, &policies, 1, self.now)
    }

    fn file(&self) -> State {
        let json = std::fs::read(self.directory().join("state.json")).unwrap();
        State::from_json(&json).unwrap()
    }

    /// A whole run: what `act` does, then a clean end or none.
    async fn run(&self, is_clean: bool, act: impl FnOnce(&mut Health)) {
        let (mut records, keeping) = self.open();
        let mut health = self.health();
        records.restore(self.now, &mut health);
        act(&mut health);
        if is_clean {
            records.end(self.now, &health);
        } else {
            records.note_at_once(self.now, &health);
        }
        drop(records);
        keeping.await;
    }
}

fn drained(service: Option<usize>, until: Option<Instant>) -> DrainOrder {
    DrainOrder {
        service,
        who: "ops".into(),
        reason: "new kernel".into(),
        until,
    }
}

#[tokio::test]
async fn drains_outlast_a_clean_end_and_a_crash_alike() {
    for is_clean in [true, false] {
        let world = World::new();
        let until = world.now + Duration::from_secs(3600);
        world
            .run(is_clean, |health| {
                health.handle_drain(world.now, &drained(None, Some(until)));
                health.handle_drain(world.now, &drained(Some(1), None));
                health.handle_stop(world.now, "stop requested");
            })
            .await;
        assert_eq!(world.file().running, !is_clean);
        world
            .run(true, |health| {
                let views = health.drains();
                assert_eq!(views.len(), 2, "a stop is none");
                assert_eq!(views[0].phase, DrainPhase::Drained);
                let kept = views[0].order.until.unwrap();
                let error = kept.max(until) - kept.min(until);
                assert!(error < Duration::from_secs(60), "{error:?}");
                assert_eq!(views[1].order, drained(Some(1), None));
                health.handle_undrain(world.now, None);
            })
            .await;
        world
            .run(true, |health| assert_eq!(health.drains().len(), 1))
            .await;
    }
}

#[tokio::test]
async fn the_file_says_that_a_process_runs_before_it_does_anything() {
    let world = World::new();
    let (_records, _keeping) = world.open();
    let file = world.file();
    assert_eq!((file.running, file.pid), (true, process::id()));
    assert_eq!((file.targets, file.drains), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn an_unclean_exit_is_a_fault_of_every_target_and_a_clean_one_is_none() {
    let world = World::new();
    world.run(true, |_| {}).await;
    drop(world.open());
    assert_eq!(world.file().targets, []);
    // It has not ended well this time.
    drop(world.open());
    let file = world.file();
    assert_eq!(file.targets.len(), 4, "two services of two families");
    assert!(
        file.targets
            .iter()
            .all(|target| target.faults_ms.len() == 1)
    );
    let (records, _) = world.open();
    let memory = records.memory(Clock::of(world.now));
    assert_eq!(memory.len(), 4);
    let (_, first) = &memory[0];
    assert_eq!(first.faults.len(), 2);
    assert!(first.faults[1] < Duration::from_secs(60));
    assert!(first.faults[1] <= first.faults[0]);
}

#[tokio::test]
async fn what_is_not_configured_any_more_is_forgotten() {
    let mut world = World::new();
    world
        .run(false, |health| {
            health.handle_drain(world.now, &drained(Some(0), None));
            health.handle_drain(world.now, &drained(Some(1), None));
        })
        .await;
    world.services.truncate(1);
    drop(world.open());
    let file = world.file();
    let services = file.drains.iter().map(|drain| drain.service.as_deref());
    assert_eq!(services.collect::<Vec<_>>(), [Some("resolver")]);
    assert_eq!(file.targets.len(), 2);
}

#[tokio::test]
async fn without_a_directory_or_without_services_nothing_is_kept_and_nobody_is_warned() {
    let mut world = World::new();
    let records = open(None, &world.services, &metrics(), world.now).unwrap();
    assert_eq!(records.warning(), None);
    world.services.clear();
    let (records, keeping) = world.open();
    assert_eq!(records.warning(), None);
    assert!(!world.directory().exists());
    drop(records);
    keeping.await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_a_warning_and_no_failure() {
    let world = World::new();
    std::fs::write(world.directory(), "a file").unwrap();
    let (mut records, keeping) = world.open();
    let warning = records.warning().unwrap();
    assert!(warning.starts_with("state is not kept in /"), "{warning}");
    let mut health = world.health();
    records.restore(world.now, &mut health);
    records.note_at_once(world.now, &health);
    records.end(world.now, &health);
    keeping.await;
}

/// Two nodes with one directory, or a predecessor that has not ended yet.
#[tokio::test]
async fn drains_in_a_file_that_another_process_uses_hold_and_the_file_stays_as_it_is() {
    let world = World::new();
    world
        .run(false, |health| {
            health.handle_drain(world.now, &drained(Some(1), None));
        })
        .await;
    let before = world.file();
    let metrics = metrics();
    let mut records = open(None, &world.services, &metrics, world.now).unwrap();
    let error = KeeperError::InUse {
        pid: 7,
        found: Box::new(before.clone()),
    };
    let clock = Clock::of(world.now);
    records.go_without(&world.directory(), error, &world.services, clock);
    let warning = records.warning().unwrap();
    assert!(warning.contains("process 7"), "{warning}");
    assert!(warning.ends_with("its drains hold here too"), "{warning}");
    let keeping = records.begin();
    let mut health = world.health();
    records.restore(world.now, &mut health);
    assert_eq!(health.drains()[0].order, drained(Some(1), None));
    assert_eq!(health.memory(world.now), Vec::new(), "no crash");
    records.note_at_once(world.now, &health);
    records.end(world.now, &health);
    keeping.await;
    assert_eq!(world.file(), before);
}

#[tokio::test]
async fn a_file_that_was_not_readable_is_a_warning() {
    let world = World::new();
    world.run(true, |_| {}).await;
    std::fs::write(world.directory().join("state.json"), "{").unwrap();
    let (records, _keeping) = world.open();
    let warning = records.warning().unwrap();
    assert!(warning.contains("was not readable"), "{warning}");
    assert_eq!(records.unkept(), None, "what is new is kept");
}

#[tokio::test]
async fn a_start_that_fails_is_no_crash() {
    let world = World::new();
    world.run(true, |_| {}).await;
    let directory = world.directory();
    drop(open(
        Some(&directory),
        &world.services,
        &metrics(),
        world.now,
    ));
    assert!(!world.file().running);
}

#[tokio::test]
async fn routine_notes_are_taken_when_there_is_news_or_the_clock_was_put_right() {
    let world = World::new();
    let (mut records, _keeping) = world.open();
    let mut health = world.health();
    let mut seen = records.wishes.as_ref().unwrap().subscribe();
    let mut is_new = |health: &Health, after_ms: u64, unix_ms: u64| {
        let now = world.now + Duration::from_millis(after_ms);
        records.note_by(Clock { now, unix_ms }, health);
        let is_new = seen.has_changed().unwrap();
        seen.mark_unchanged();
        is_new
    };
    assert!(is_new(&health, 0, 50_000), "the first");
    assert!(!is_new(&health, 1_000, 51_000), "nothing new");
    health.handle_drain(world.now, &drained(None, None));
    assert!(is_new(&health, 2_000, 52_000));
    assert!(!is_new(&health, 3_000, 52_000), "no step yet");
    assert!(
        is_new(&health, 3_000, 51_999),
        "what was written is wrong now"
    );
    assert!(!is_new(&health, 4_000, 52_999));
}

#[tokio::test]
async fn routine_notes_are_looked_for_once_a_second() {
    let world = World::new();
    let (mut records, _keeping) = world.open();
    let health = world.health();
    let mut noted_at = |after_ms: u64| {
        records.note(world.now + Duration::from_millis(after_ms), &health);
        let noted_at = records.noted_at.unwrap() - world.now;
        u64::try_from(noted_at.as_millis()).unwrap()
    };
    assert_eq!(
        [0, 999, 1_000, 1_999].map(&mut noted_at),
        [0, 0, 1_000, 1_000]
    );
}
