//! What queries tell about an interruption: how many were lost, and how long the gap was.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Since the client started.
    pub(crate) sent: Duration,
    /// Right content and NOERROR within a second of sending.
    pub(crate) is_good: bool,
}

/// What one stream of queries, or several, saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Loss {
    pub(crate) sent: u32,
    pub(crate) lost: u32,
    /// Longest time between the sending of the last good query before and of the first good one
    /// after, in milliseconds. Without a loss it is about the distance of two queries.
    pub(crate) gap_ms: f64,
}

impl Loss {
    /// Looks at one stream, in the order of sending. A stream that begins or ends with lost
    /// queries has a gap from its first or to its last query.
    pub(crate) fn of(samples: &[Sample]) -> Self {
        let mut loss = Self::default();
        let mut last_good = samples.first().map(|first| first.sent);
        for (index, sample) in samples.iter().enumerate() {
            loss.sent += 1;
            loss.lost += u32::from(!sample.is_good);
            if sample.is_good || index + 1 == samples.len() {
                let gap = sample.sent - last_good.unwrap_or(sample.sent);
                loss.gap_ms = loss.gap_ms.max(gap.as_secs_f64() * 1000.0);
                last_good = Some(sample.sent);
            }
        }
        loss
    }

    /// Both together: losses add up, the longest gap stays.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            lost: self.lost + other.lost,
            gap_ms: self.gap_ms.max(other.gap_ms),
        }
    }
}

/// The middle value, the upper one of two; 0 of none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The greatest value; 0 of none.
pub(crate) fn worst(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query every 5 ms: `.` is good, `x` is lost.
    fn stream(marks: &str) -> Loss {
        let samples: Vec<Sample> = (0..)
            .zip(marks.chars())
            .map(|(index, mark)| Sample {
                sent: Duration::from_millis(5 * index),
                is_good: mark == '.',
            })
            .collect();
        Loss::of(&samples)
    }

    #[test]
    fn the_gap_runs_from_the_last_good_query_to_the_next_good_one() {
        let loss = stream("..xx.x..");
        assert_eq!((loss.sent, loss.lost), (8, 3));
        assert!((loss.gap_ms - 15.0).abs() < 1e-9);
    }

    #[test]
    fn without_a_loss_the_gap_is_the_distance_of_two_queries() {
        let loss = stream("....");
        assert_eq!(loss.lost, 0);
        assert!((loss.gap_ms - 5.0).abs() < 1e-9);
    }

    #[test]
    fn losses_at_either_end_count_to_the_end() {
        assert!((stream("xx..").gap_ms - 10.0).abs() < 1e-9);
        assert!((stream("..xx").gap_ms - 10.0).abs() < 1e-9);
        assert!((stream("xxx").gap_ms - 10.0).abs() < 1e-9);
        assert_eq!(stream(""), Loss::default());
    }

    #[test]
    fn streams_add_their_losses_and_keep_the_longest_gap() {
        let both = stream("..x.").and(stream(".xx."));
        assert_eq!((both.sent, both.lost), (8, 3));
        assert!((both.gap_ms - 15.0).abs() < 1e-9);
    }

    #[test]
    fn median_and_worst_of_three() {
        let values = [130.0, 110.0, 260.0];
        assert!((median(values) - 130.0).abs() < 1e-9);
        assert!((worst(values) - 260.0).abs() < 1e-9);
        assert!((median([1.0, 3.0]) - 3.0).abs() < 1e-9, "the worse of two");
    }
}
