//! Upstreams that answer, and answer with errors.

use super::*;

/// 200 new names a second of 16 domains, asked by 4 prefixes; all was well for seconds. With 8 prefixes
/// and 400 names as well.
#[test]
fn a_zone_whose_upstreams_all_begin_to_fail_is_unusable_within_450_ms() {
    for (question_ms, prefixes) in [(5, 4), (2, 8)] {
        for from in (6000..7000).step_by(130) {
            let failing = || -> Script { Box::new(|_, _, _| Some((1, SERVFAIL))) };
            let scripts = [(); 2].map(|()| ill(from, u32::MAX, failing()));
            let mut simulation = Simulation::new(scripts, true);
            simulation.prefixes = prefixes;
            simulation.domains = Some(16);
            simulation.question_ms = question_ms;
            let took_ms = simulation.unusable_at() - from;
            assert!((50..=450).contains(&took_ms), "{took_ms} ms from {from}");
        }
    }
}

/// The same, but no client is another one's witness.
#[test]
fn upstreams_that_fail_for_two_prefixes_or_two_domains_alone_stay_usable() {
    for (prefixes, domains) in [(2, 16), (16, 2)] {
        let failing = || -> Script { Box::new(|_, _, _| Some((1, SERVFAIL))) };
        let scripts = [(); 2].map(|()| ill(3000, u32::MAX, failing()));
        let mut simulation = Simulation::new(scripts, true);
        simulation.prefixes = prefixes;
        simulation.domains = Some(domains);
        simulation.run_until(20_000);
        let world = &simulation.world;
        assert!(world.upstreams.zone_is_well(world.root));
    }
}

#[test]
fn upstreams_that_fail_but_for_the_apex_stay_usable() {
    let names = || -> Script {
        Box::new(|_, asked, _| match asked {
            Asked::Question => Some((1, SERVFAIL)),
            Asked::Probe => Some((1, 0)),
        })
    };
    let scripts = [(); 2].map(|()| ill(3000, u32::MAX, names()));
    let mut simulation = Simulation::new(scripts, true);
    simulation.run_until(20_000);
    let world = &simulation.world;
    assert!(world.upstreams.zone_is_well(world.root));
}
