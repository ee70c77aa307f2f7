//! What an act of the demo cost the client, as lines to read.
#![expect(
    clippy::print_stdout,
    reason = "a demo tells its story on the terminal"
)]

use std::time::{Duration, Instant};

use crate::client::Sample;
use crate::fib::Change;

/// What the client saw of one act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Toll {
    pub(crate) asked: usize,
    pub(crate) lost: usize,
    /// Between the sending of the last good question before and the first good one after.
    pub(crate) longest_gap: Duration,
}

/// Reckons the toll of questions in the order of their sending.
pub(crate) fn toll<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Toll {
    let mut toll = Toll::default();
    let mut last_good: Option<Instant> = None;
    for sample in samples {
        toll.asked += 1;
        if sample.answer.is_none() {
            toll.lost += 1;
            continue;
        }
        if let Some(before) = last_good {
            toll.longest_gap = toll.longest_gap.max(sample.sent.duration_since(before));
        }
        last_good = Some(sample.sent);
    }
    toll
}

/// Prints what routes and answers did since `start`, in order.
pub(crate) fn print(start: Instant, samples: &[Sample], changes: &[Change]) {
    let mut lines: Vec<(Instant, String)> = changes
        .iter()
        .map(|c| (c.at, format!("{}: {}", c.site, c.what)))
        .collect();
    let mut serving: Option<&str> = None;
    for sample in samples {
        if let Some((at, node)) = &sample.answer
            && serving != Some(node)
        {
            let verb = if serving.is_none() {
                "answers"
            } else {
                "answers now"
            };
            lines.push((*at, format!("{node} {verb}")));
            serving = Some(node);
        }
    }
    lines.sort_by_key(|(at, _)| *at);
    for (at, line) in lines {
        println!(
            "    {:>7.3} s  {line}",
            at.saturating_duration_since(start).as_secs_f64()
        );
    }
}
