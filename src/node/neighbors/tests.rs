use super::*;

/// Design §3, lease: once any stop counted as a good lease, from its beginning on, which let a
/// neighbour come back that had not taken the withdraw.
#[test]
fn a_stop_needs_a_lease_until_the_routes_are_taken_back_and_makes_none_good() {
    for (is_fresh, is_ending, was_good, is_good) in [
        (true, false, false, true),
        (true, true, false, true),
        (false, false, true, false),
        (false, false, false, false),
        // The routes are gone: what runs out now runs out by the stop.
        (false, true, true, true),
        (false, true, false, false),
    ] {
        assert_eq!(is_lease_good(is_fresh, is_ending, was_good), is_good);
    }
}

/// Own rule: a link that is flooded with router advertisements makes answers long, not sessions late.
#[test]
fn a_kernel_whose_answers_are_long_is_asked_seldom() {
    let ms = Duration::from_millis;
    for (answer, rest) in [
        (0, 0),
        (20, 0),
        (21, 84),
        (100, 400),
        (500, 2000),
        (9000, 2000),
    ] {
        assert_eq!(rest_after(ms(answer)), ms(rest));
    }
}
