//! A fleet in simulated time: the real cores of health and announcing in each of N nodes, and a
//! model of all around them. One virtual clock, one seed; a run depends on nothing else.
//!
//! # The model
//!
//! - **Node**: two workers that beat, read, answer, overflow and get stuck; a self-probe each interval
//!   (TCP each fifth) whose outcome follows from the node's true state; breakers that open 450 to
//!   550 ms after the upstreams are gone and close 0.25 to 4 s after they are back; a cache that
//!   warms with what it answers and is lost with the process; a state directory; a supervisor that
//!   starts it again after 1 to 1.5 s, and kills it when a worker stood still for 10 s; a start that
//!   waits for upstreams (0.3 s, given up on after 3 s) and hot names (2 s at most).
//! - **Routers**: one region for each site. Its routers hear of each node's routes after 10 to
//!   60 ms (its own) or 50 to 500 ms (others), in order. The longer prefix wins, then the level, then
//!   the nearer site; equal nodes of a site share the load. A process that dies is noticed within
//!   20 ms, one that stands still after 900 ms (BFD); a lost session is back after 1 to 3 s.
//! - **Clients**: a fluid of so many queries per second in each region, a quarter to a half of what
//!   its site can answer (10,000/s for each node). Above its capacity a node answers that much and
//!   sheds the rest.
//! - **Siblings** (half of the seeds): the 16 beside each node on a ring; what they say is known
//!   within a second. Half of the seeds has floors.
//!
//! Ticks of a node that has no trouble are skipped, and the last eight made up for when it gets
//! some; `skipping_ticks_changes_nothing` shows that this is no part of the model.
//!
//! # Its limits
//!
//! A cut takes routes at once. Siblings do not resolve for each other; breakers are a model and not
//! `dns::upstream`, and so are siblings but where a test says that they ask each other: that costs
//! a node 32 more steps a second. Clients do not ask again, but for the one whose question wedges
//! workers. One service, one address family.
//!
//! # Invariants, looked at after every step
//!
//! 1. A region has a route as long as it reaches a node that could answer it: one that is *able*
//!    (process, workers, routing thread and prober run, no operator drains it) for 10 s
//!    ([`watch::GRACE`]: 3 s for upstreams or a session, 5 s for 25 good probes, 2 s for the rest);
//!    with floors also one with stuck workers.
//! 2. A node that stopped answering is not preferred for longer than
//!    `1.5 + fall + 1` intervals and 150 ms (with the defaults 1.25 s and 50 ms for all that takes
//!    time in no other place), and ten seconds longer when a worker beats and only does not read; one
//!    whose health gets no inputs is not announced for longer than the lease, two intervals, and
//!    50 ms; one that nobody but itself hears, and that has siblings, not preferred for longer than
//!    13.5 s.
//! 3. Changes to `preferred`: `promotions_per_hour` at most in any hour, 8 in any ten minutes (what
//!    the hold-down leaves), 4 when a process is killed soon after each of 20 starts. Changes in all:
//!    what the documentation of health says, 1,486 in an hour and 286 in ten minutes.
//! 4. Each verdict has a reason; a worse level has a class, and its reason is not that all is well.
//!    Shared faults and overload never withdraw; overload changes nothing.
//! 5. No cascade: over any five seconds the fleet answers at least half (90 % when nothing but load
//!    is wrong) of what its able nodes could carry if each region went to the nearest.
//! 6. While the upstreams of all or half are gone, or their answers get worse, nobody withdraws.
//! 7. Each node that has been able for 10 s is announced. An upgrade sends no query to a node that is
//!    gone.
//!
//! # What it has found
//!
//! Each of these is a rule of the policy by now, and a scenario that fails without it:
//!
//! - Nodes that were held down left the load of all to the few that were not, so that a query that wedges
//!   each in turn (killer) left a hundredth of the fleet at work.
//! - When upstreams returned to all (outage), all others left for `backup` upon the word of the first.
//! - What had failed over TCP as well (firewall) had to show 25 good probes at one a second.
//! - A worker that beats and reads nothing (unread) was taken for one that is flooded.
//! - When upstreams vanished from all (outage), those that noticed it last heard that nobody could
//!   resolve any more, and stayed with the load of all that had left before.
//!
//! # How to run it
//!
//! `cargo test --test fleet` plays a small share; `SIDESTEP_FLEET=full cargo test --release --test
//! fleet` each scenario with 20 nodes × 200 seeds and 1,000 nodes × 3 seeds. A failure tells the
//! variables that play its run again.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that fails fails its test"
)]
#![expect(clippy::print_stdout, reason = "a whole run says what it was like")]

use std::time::Duration;

use plan::{first_failure, play, play_few};
use setup::Setup;
use sidestep::health::OnSharedFault;

mod chance;
mod engine;
mod journal;
mod node;
mod plan;
mod process;
mod queue;
mod router;
mod scenario;
mod setup;
mod traffic;
mod watch;

#[test]
fn a_fleet_that_loses_all_upstreams_stays_announced() {
    play("outage", |setup| setup.nobody_withdraws = true);
}

/// The first nodes to lose them leave for `backup` upon a sibling's word that is a second old; the last
/// have heard better. If these stayed, they would have the load of all until the first have come back.
#[test]
fn upstreams_that_vanish_from_all_nodes_gather_the_load_on_none() {
    play("outage", |setup| setup.has_siblings = true);
}

#[test]
fn half_a_fleet_without_upstreams_takes_nothing_from_the_other_half() {
    play("half", |setup| setup.nobody_withdraws = true);
}

#[test]
fn each_side_of_a_cut_answers_its_own_clients() {
    play("cut", |_| ());
}

#[test]
fn ten_times_the_load_of_a_site_moves_no_route() {
    play("crowd", |setup| setup.carried_percent = 90);
}

#[test]
fn links_and_workers_that_come_and_go_change_levels_a_bounded_number_of_times() {
    play("flapping", |_| ());
}

#[test]
fn answers_that_get_worse_over_minutes_withdraw_nobody() {
    play("brownout", |setup| setup.nobody_withdraws = true);
}

#[test]
fn a_query_that_wedges_one_node_after_the_other_leaves_the_rest_announced() {
    play("killer", |_| ());
}

#[test]
fn a_crash_loop_is_preferred_four_times_at_most() {
    play("crashes", |setup| setup.promotions_max = 4);
}

#[test]
fn an_upgrade_of_the_whole_fleet_loses_no_query() {
    play("upgrade", |setup| setup.is_lossless = true);
}

#[test]
fn processes_that_stand_still_and_clocks_that_jump_keep_no_stale_route() {
    play("clocks", |_| ());
}

#[test]
fn a_node_that_only_itself_can_hear_is_not_preferred() {
    play("unheard", |setup| setup.has_siblings = true);
}

#[test]
fn a_worker_that_beats_and_reads_nothing_takes_the_route_with_it_after_ten_seconds() {
    play("unread", |setup| setup.unread_for = Duration::from_secs(10));
}

#[test]
fn a_fault_that_all_nodes_have_six_times_is_over_ten_seconds_after_it_ended() {
    play("firewall", |_| ());
}

#[test]
fn everything_at_once_breaks_no_invariant() {
    play("storm", |_| ());
}

/// Who cannot resolve withdraws only while a sibling says that it takes the clients over.
#[test]
fn nodes_that_withdraw_for_a_shared_fault_stay_announced_when_their_siblings_have_it_too() {
    play_few("outage", |setup| {
        setup.service.on_shared_fault = OnSharedFault::Withdraw;
        setup.service.floor.clear();
        setup.has_siblings = true;
        setup.nobody_withdraws = true;
    });
}

/// With the real core of `health::peers` between the nodes.
#[test]
fn nodes_that_ask_each_other_keep_all_invariants_too() {
    for scenario in ["half", "cut", "unheard", "clocks"] {
        play_few(scenario, asking);
    }
}

/// The first node that has its upstreams back says that it can resolve. If all others left for
/// `backup` upon that, it would have the load of all.
#[test]
fn upstreams_that_return_to_all_nodes_gather_the_load_on_none() {
    play_few("outage", asking);
}

fn asking(setup: &mut Setup) {
    setup.nobody_withdraws = matches!(setup.scenario, "outage" | "half");
    setup.has_siblings = true;
    setup.asks_for_real = true;
}

/// The policy that took Facebook off the network in 2021.
#[test]
fn withdrawing_for_a_shared_fault_would_be_noticed() {
    let failure = first_failure("outage", |setup| {
        setup.service.on_shared_fault = OnSharedFault::Withdraw;
        setup.service.floor.clear();
        setup.has_siblings = false;
    });
    let failure = failure.expect("a fleet that goes dark");
    assert!(failure.what.contains("has no route"), "{}", failure.text);
}

#[test]
fn levels_that_nothing_damps_would_be_noticed() {
    let failure = first_failure("flapping", |setup| {
        setup.settings.hold_down = Duration::ZERO;
        setup.settings.jitter = Duration::ZERO;
        setup.settings.promotions_per_hour = 3600;
    });
    let failure = failure.expect("a fleet that flaps");
    let what = &failure.what;
    assert!(what.contains("changes to preferred"), "{}", failure.text);
}

/// Why shedding matters: nodes that fail under load pass their load on, and the next ones fail.
#[test]
fn nodes_that_collapse_under_load_would_be_noticed() {
    let failure = first_failure("crowd", |setup| {
        setup.carried_percent = 90;
        setup.collapses = true;
    });
    let failure = failure.expect("a cascade");
    let what = &failure.what;
    assert!(what.contains("the fleet answers"), "{}", failure.text);
}

#[test]
fn skipping_ticks_changes_nothing() {
    for scenario in ["outage", "cut", "killer", "upgrade", "clocks", "storm"] {
        for seed in 1..=2 {
            let mut setup = Setup::new(scenario, 20, seed);
            setup.carried_percent = 0;
            let (_, skipping) = engine::run(setup.clone()).unwrap_or_else(|f| panic!("{}", f.text));
            let whole = Setup {
                dozes: false,
                ..setup
            };
            let (_, whole) = engine::run(whole).unwrap_or_else(|f| panic!("{}", f.text));
            assert_eq!(skipping, whole, "{scenario} with seed {seed}");
        }
    }
}

#[test]
fn the_same_seed_plays_the_same_run_and_another_one_another() {
    let digest = |seed| engine::run(Setup::new("storm", 20, seed)).map(|(_, digest)| digest);
    let [first, again, other] = [1, 1, 2].map(|seed| digest(seed).unwrap_or(0));
    assert_eq!(first, again);
    assert_ne!(first, other);
}
