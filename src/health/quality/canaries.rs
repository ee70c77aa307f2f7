//! Whether enough of the names that should always resolve do, by zone.

use super::super::streak::Streak;
use super::super::{PoorCanaries, Settings};

/// The canaries of all zones, as a value. Each is taken to resolve until `fall` results in a row say
/// otherwise, and then not to until `rise` do, as with self-probes: one lost packet is nothing.
#[derive(Clone, Debug)]
pub struct CanaryJudge {
    fall: u32,
    rise: u32,
    needed: Option<u8>,
    canaries: Vec<(usize, Streak)>,
}

impl CanaryJudge {
    /// For canaries of these zones, in their order. In each zone `needed` have to resolve, or all of
    /// them where there are fewer; `None`: more than half.
    #[must_use]
    pub fn new(settings: &Settings, zones: &[usize], needed: Option<u8>) -> Self {
        let canaries = zones.iter().map(|zone| (*zone, Streak::default()));
        Self {
            fall: settings.fall,
            rise: settings.rise,
            needed,
            canaries: canaries.collect(),
        }
    }

    /// Takes how a canary has fared. A bad result while the node is overloaded proves nothing: a flood
    /// may have kept the answer out, or the upstreams busy.
    pub fn handle_result(&mut self, canary: usize, is_good: bool, is_overloaded: bool) {
        if let Some((_, streak)) = self.canaries.get_mut(canary) {
            match (is_good, is_overloaded) {
                (true, _) => streak.good(self.rise),
                (false, true) => streak.interrupt(),
                (false, false) => streak.bad(self.fall),
            }
        }
    }

    /// How many canaries of a zone resolve, and how many there are.
    #[must_use]
    pub fn count(&self, zone: usize) -> (u8, u8) {
        let of_zone = || self.canaries.iter().filter(|(of, _)| *of == zone);
        let good = of_zone().filter(|(_, streak)| !streak.is_failed()).count();
        let few = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
        (few(good), few(of_zone().count()))
    }

    /// `None`: enough of them resolve, or there are none.
    #[must_use]
    pub fn poor(&self, zone: usize) -> Option<PoorCanaries> {
        let (good, of) = self.count(zone);
        let needed = self.needed.map_or(of / 2 + 1, |needed| needed.min(of));
        (of > 0 && good < needed).then_some(PoorCanaries { good, of, needed })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::machine::tests::settings;
    use super::*;

    fn fail(judge: &mut CanaryJudge, canary: usize) {
        for _ in 0..settings().fall {
            judge.handle_result(canary, false, false);
        }
    }

    #[test]
    fn bad_results_under_overload_make_no_failure_and_end_none() {
        let mut judge = CanaryJudge::new(&settings(), &[3], None);
        for _ in 0..100 {
            judge.handle_result(0, false, true);
        }
        assert_eq!(judge.poor(3), None);
        fail(&mut judge, 0);
        for _ in 0..100 {
            judge.handle_result(0, false, true);
        }
        assert!(judge.poor(3).is_some());
        for _ in 0..settings().rise {
            judge.handle_result(0, true, true);
        }
        assert_eq!(judge.poor(3), None);
    }

    #[test]
    fn one_bad_result_less_than_fall_is_nothing_and_rise_good_ones_end_it() {
        let mut judge = CanaryJudge::new(&settings(), &[3], None);
        judge.handle_result(0, false, false);
        judge.handle_result(0, false, false);
        assert_eq!(judge.poor(3), None);
        judge.handle_result(0, false, false);
        let (good, of, needed) = (0, 1, 1);
        assert_eq!(judge.poor(3), Some(PoorCanaries { good, of, needed }));
        for _ in 0..4 {
            judge.handle_result(0, true, false);
        }
        assert!(judge.poor(3).is_some());
        judge.handle_result(0, true, false);
        assert_eq!((judge.poor(3), judge.count(3)), (None, (1, 1)));
    }

    #[test]
    fn more_than_half_of_a_zones_own_are_needed() {
        let mut judge = CanaryJudge::new(&settings(), &[0, 1, 0, 0, 0, 1], None);
        fail(&mut judge, 0);
        assert_eq!(judge.poor(0), None, "three of four are more than half");
        fail(&mut judge, 2);
        let (good, of, needed) = (2, 4, 3);
        assert_eq!(judge.poor(0), Some(PoorCanaries { good, of, needed }));
        assert_eq!(judge.poor(1), None);
    }

    #[test]
    fn what_is_configured_is_needed_or_all_where_there_are_fewer() {
        let mut judge = CanaryJudge::new(&settings(), &[0, 0, 0, 0, 1], Some(2));
        fail(&mut judge, 0);
        fail(&mut judge, 1);
        assert_eq!(judge.poor(0), None);
        fail(&mut judge, 2);
        assert_eq!(judge.poor(0).unwrap().needed, 2);
        fail(&mut judge, 4);
        assert_eq!(judge.poor(1).unwrap().needed, 1);
    }

    #[test]
    fn a_zone_without_canaries_has_no_poor_ones() {
        let mut judge = CanaryJudge::new(&settings(), &[], Some(2));
        judge.handle_result(7, false, false);
        assert_eq!((judge.poor(0), judge.count(0)), (None, (0, 0)));
    }
}
