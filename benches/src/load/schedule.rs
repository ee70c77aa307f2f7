//! When the next question is due.

use std::time::Duration;

use super::Pace;

/// One run's time; all times are ns since its start.
pub(super) struct Schedule {
    /// From here on nothing is asked.
    end_ns: u64,
    pace: Pace,
    /// For each socket or connection, of a window.
    share: usize,
    asked: u64,
    next_ns: u64,
}

impl Schedule {
    /// For so many sockets or connections.
    pub(super) fn new(pace: Pace, time: Duration, lines: usize) -> Self {
        Self {
            end_ns: time.as_nanos().try_into().unwrap_or(u64::MAX),
            pace,
            share: match pace {
                Pace::Window(window) => window.div_ceil(lines),
                Pace::Rate(_) => 0,
            },
            asked: 0,
            next_ns: 0,
        }
    }

    /// When a question was due that can be asked now, on a line with so many under way.
    pub(super) fn due(&mut self, now_ns: u64, under_way: usize) -> Option<u64> {
        match self.pace {
            Pace::Window(_) => (under_way < self.share && now_ns < self.end_ns).then_some(now_ns),
            Pace::Rate(rate) => {
                let due_ns = self.next_ns;
                if now_ns < due_ns || due_ns >= self.end_ns {
                    return None;
                }
                self.asked += 1;
                self.next_ns = self.asked * 1_000_000_000 / u64::from(rate);
                Some(due_ns)
            }
        }
    }

    /// Whether nothing will be due any more.
    pub(super) fn is_over(&self, now_ns: u64) -> bool {
        match self.pace {
            Pace::Window(_) => now_ns >= self.end_ns,
            Pace::Rate(_) => self.next_ns >= self.end_ns,
        }
    }

    /// Nothing more is asked from now on.
    pub(super) fn stop(&mut self, now_ns: u64) {
        self.end_ns = self.end_ns.min(now_ns);
    }

    /// How long one may sleep, given that no answer comes.
    pub(super) fn idle(&self, now_ns: u64) -> Duration {
        let longest = Duration::from_millis(10);
        match self.pace {
            Pace::Window(_) => longest,
            Pace::Rate(_) if self.is_over(now_ns) => longest,
            Pace::Rate(_) => longest.min(Duration::from_nanos(self.next_ns.saturating_sub(now_ns))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_even_and_what_was_missed_is_still_asked_at_its_time() {
        let mut schedule = Schedule::new(Pace::Rate(3), Duration::from_secs(1), 4);
        assert_eq!(schedule.due(0, 9), Some(0));
        assert_eq!(schedule.due(333_333_332, 9), None);
        assert_eq!(schedule.idle(333_333_332), Duration::from_nanos(1));
        assert_eq!(schedule.due(900_000_000, 9), Some(333_333_333));
        assert!(!schedule.is_over(900_000_000));
        assert_eq!(schedule.due(5_000_000_000, 9), Some(666_666_666));
        assert_eq!(schedule.due(5_000_000_000, 9), None);
        assert!(schedule.is_over(5_000_000_000));
    }

    #[test]
    fn a_window_is_shared_and_ends_with_the_time() {
        let mut schedule = Schedule::new(Pace::Window(10), Duration::from_secs(1), 4);
        assert_eq!(schedule.due(5, 2), Some(5));
        assert_eq!(schedule.due(5, 3), None);
        assert_eq!(schedule.due(1_000_000_000, 0), None);
        assert!(schedule.is_over(1_000_000_000));
    }
}
