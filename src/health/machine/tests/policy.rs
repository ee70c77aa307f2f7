//! The policy table, row by row.

use super::*;

struct Row {
    what_fails: &'static str,
    break_it: fn(&mut Bench),
    /// By `on_shared_fault`: backup, keep, withdraw.
    levels: [Level; 3],
    class: Option<FaultClass>,
    reason: &'static str,
    floor: FloorLevel,
}

const GONE: [Level; 3] = [Level::Withdrawn; 3];
const BACKUP: [Level; 3] = [Level::Backup; 3];
const NORMAL: [Level; 3] = [Level::Preferred; 3];

const LOCAL: [Row; 5] = [
    Row {
        what_fails: "a worker wedged",
        break_it: |b| b.beats[1] = false,
        levels: GONE,
        class: Some(FaultClass::Local),
        reason: "worker 1 heartbeat stuck for 600 ms",
        floor: FloorLevel::LastResort,
    },
    Row {
        what_fails: "self-probe unanswered",
        break_it: |b| b.probes[1] = Unanswered,
        levels: GONE,
        class: Some(FaultClass::Local),
        reason: "probe of worker 1 without a right answer 3 times in a row",
        floor: FloorLevel::LastResort,
    },
    Row {
        what_fails: "self-probe answered wrongly, clients or not",
        break_it: |b| (b.probes[0], b.answers) = (Bad, [9; 2]),
        levels: GONE,
        class: Some(FaultClass::Local),
        reason: "probe of worker 0 without a right answer 3 times in a row",
        floor: FloorLevel::LastResort,
    },
    Row {
        what_fails: "tcp probe unanswered",
        break_it: |b| b.tcp = Unanswered,
        levels: GONE,
        class: Some(FaultClass::Local),
        reason: "tcp probe without a right answer 3 times in a row",
        floor: FloorLevel::LastResort,
    },
    Row {
        what_fails: "address missing",
        break_it: |b| b.set_address(false),
        levels: GONE,
        class: Some(FaultClass::Local),
        reason: "address missing on the interface",
        floor: FloorLevel::LastResort,
    },
];

const SHARED: [Row; 3] = [
    Row {
        what_fails: "all upstreams of a critical zone",
        break_it: |b| b.health.handle_zone(b.now, ".", true),
        levels: [Level::Backup, Level::Preferred, Level::Withdrawn],
        class: Some(FaultClass::Shared),
        reason: "all upstreams of zone . dead",
        floor: FloorLevel::Backup,
    },
    Row {
        what_fails: "upstreams first, then probes: mixed",
        break_it: |b| {
            b.health.handle_zone(b.now, ".", true);
            b.probes = [Unanswered; 2];
        },
        levels: [Level::Backup, Level::Backup, Level::Withdrawn],
        class: Some(FaultClass::Shared),
        reason: "all upstreams of zone . dead",
        floor: FloorLevel::Backup,
    },
    Row {
        what_fails: "upstreams first, then a heartbeat: no doubt",
        break_it: |b| {
            b.health.handle_zone(b.now, ".", true);
            b.beats[0] = false;
        },
        levels: GONE,
        class: Some(FaultClass::Local),
        reason: "worker 0 heartbeat stuck for 600 ms",
        floor: FloorLevel::LastResort,
    },
];

const OTHERS: [Row; 5] = [
    Row {
        what_fails: "nothing",
        break_it: |_| {},
        levels: NORMAL,
        class: None,
        reason: "all checks good",
        floor: FloorLevel::Backup,
    },
    Row {
        what_fails: "probes lost while clients are answered",
        break_it: |b| (b.probes, b.tcp, b.answers) = ([Unanswered; 2], Unanswered, [9; 2]),
        levels: NORMAL,
        class: Some(FaultClass::Overload),
        reason: "probe of worker 0 unanswered under load",
        floor: FloorLevel::Backup,
    },
    Row {
        what_fails: "probes lost while queues overflow",
        break_it: |b| (b.probes, b.tcp, b.drops) = ([Unanswered; 2], Unanswered, [true; 2]),
        levels: NORMAL,
        class: Some(FaultClass::Overload),
        reason: "probe of worker 0 unanswered under load",
        floor: FloorLevel::Backup,
    },
    Row {
        what_fails: "tcp slots",
        break_it: |b| (b.tcp, b.is_tcp_full) = (Unanswered, true),
        levels: NORMAL,
        class: Some(FaultClass::Overload),
        reason: "tcp probe unanswered under load",
        floor: FloorLevel::Backup,
    },
    Row {
        what_fails: "nothing, but the operator wants it to leave",
        break_it: |b| {
            b.answers = [9; 2];
            b.drain("maintenance");
        },
        levels: BACKUP,
        class: Some(FaultClass::Operator),
        reason: "draining: maintenance",
        floor: FloorLevel::Backup,
    },
];

#[test]
fn the_policy_table_holds() {
    for row in LOCAL.iter().chain(&SHARED).chain(&OTHERS) {
        let policies = [
            OnSharedFault::Backup,
            OnSharedFault::Keep,
            OnSharedFault::Withdraw,
        ];
        for (policy, level) in policies.into_iter().zip(row.levels) {
            let mut bench = Bench::started_with(policy);
            (row.break_it)(&mut bench);
            bench.sample();
            bench.ticks(5);
            if policy == OnSharedFault::Withdraw
                && row.levels[2] == Level::Withdrawn
                && row.levels[0] == Level::Backup
            {
                assert_eq!(bench.level(), Level::Backup, "make before break");
                bench.ticks(20);
            }
            let what = format!("{} with {policy:?}", row.what_fails);
            assert_eq!(bench.level(), level, "{what}: {}", bench.reason());
            assert_eq!(bench.class(), row.class, "{what}");
            assert_eq!(bench.reason(), row.reason, "{what}");
            let grant = bench.grant().unwrap();
            assert_eq!((grant.level, grant.floor), (level, row.floor), "{what}");
        }
    }
}
