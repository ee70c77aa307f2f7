use super::*;
use crate::announce::tests::service;

const LEVELS: [Level; 3] = [Level::Withdrawn, Level::Backup, Level::Preferred];

fn allowed(level: Level, is_leaving: bool, floor: FloorLevel) -> Allowed {
    let address = "10.53.53.53".parse().unwrap();
    Allowed {
        service: 0,
        address,
        level,
        is_leaving,
        floor,
    }
}

fn planned(entry: Allowed) -> Vec<(String, PlannedLevel)> {
    let routes = plan(&[service()], &[entry]);
    routes
        .into_iter()
        .map(|route| (route.prefix.to_string(), route.level))
        .collect()
}

#[test]
fn each_level_becomes_its_routes() {
    let own = |level| vec![("10.53.53.53/32".to_owned(), level)];
    let floor = |level| ("10.53.53.52/30".to_owned(), level);
    for is_leaving in [false, true] {
        let backup = if is_leaving {
            PlannedLevel::Leaving
        } else {
            PlannedLevel::Backup
        };
        let preferred = if is_leaving {
            backup
        } else {
            PlannedLevel::Preferred
        };
        for (level, own) in LEVELS
            .into_iter()
            .zip([vec![], own(backup), own(preferred)])
        {
            assert_eq!(
                planned(allowed(level, is_leaving, FloorLevel::Withdrawn)),
                own
            );
            let with = |level| [vec![floor(level)], own.clone()].concat();
            let entry = allowed(level, is_leaving, FloorLevel::Backup);
            assert_eq!(planned(entry), with(backup));
            let entry = allowed(level, is_leaving, FloorLevel::LastResort);
            assert_eq!(planned(entry), with(PlannedLevel::LastResort));
        }
    }
}

#[test]
fn a_floor_follows_the_address_of_its_own_family_only() {
    let address = "fd53::53".parse().unwrap();
    let entry = Allowed {
        address,
        ..allowed(Level::Preferred, false, FloorLevel::Backup)
    };
    let prefixes: Vec<_> = planned(entry)
        .into_iter()
        .map(|(prefix, _)| prefix)
        .collect();
    assert_eq!(prefixes, ["fd53::50/124", "fd53::53/128"]);
}

#[test]
fn each_planned_level_is_less_attractive_than_the_next_better_one() {
    let backup = BackupSettings {
        prepend: 3,
        med: Some(1000),
        local_pref: Some(51),
        communities: vec![7],
        large_communities: vec![[65053, 1, 2]],
    };
    let marks = |level| PathMarks::of(level, &backup);
    assert_eq!(marks(PlannedLevel::Preferred), PathMarks::default());
    let at_backup = PathMarks {
        prepend: 3,
        med: Some(1000),
        local_pref: Some(51),
        communities: vec![7],
        large_communities: vec![[65053, 1, 2]],
    };
    assert_eq!(marks(PlannedLevel::Backup), at_backup);
    let leaving = PathMarks {
        communities: vec![7, GRACEFUL_SHUTDOWN],
        ..at_backup.clone()
    };
    assert_eq!(marks(PlannedLevel::Leaving), leaving);
    assert_eq!(marks(PlannedLevel::LastResort), at_backup);
    let worst_first = [
        PlannedLevel::LastResort,
        PlannedLevel::Leaving,
        PlannedLevel::Backup,
    ];
    assert!(worst_first.is_sorted());
    assert_eq!(worst_first.map(PlannedLevel::times), [3, 2, 1]);
    assert_eq!(PlannedLevel::Preferred.times(), 1);
}

#[test]
fn graceful_shutdown_is_not_repeated_when_backup_has_it_already() {
    let communities = vec![7, GRACEFUL_SHUTDOWN];
    let backup = BackupSettings {
        prepend: 3,
        med: None,
        local_pref: None,
        communities: communities.clone(),
        large_communities: vec![],
    };
    assert_eq!(
        PathMarks::of(PlannedLevel::Leaving, &backup).communities,
        communities
    );
}

#[test]
fn only_floors_wider_than_an_address_need_an_unreachable_route() {
    let mut service = service();
    service.floor.push("10.53.53.53/32".parse().unwrap());
    let prefixes = unreachable_prefixes(&[service.clone(), service]);
    let expected: [IpNet; 2] = [
        "10.53.53.52/30".parse().unwrap(),
        "fd53::50/124".parse().unwrap(),
    ];
    assert_eq!(prefixes, expected);
}
