//! One line of what was measured.

use std::fmt;
use std::time::Duration;

/// One number, and the most that it may be.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) what: &'static str,
    unit: &'static str,
    value: f64,
    limit: Option<f64>,
}

impl Line {
    pub(super) fn holds(&self) -> bool {
        self.limit.is_none_or(|limit| self.value <= limit)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {:68} {:>6.0}{}", self.what, self.value, self.unit)?;
        match self.limit {
            Some(limit) if !self.holds() => write!(f, "  OVER the limit of {limit:.0}"),
            Some(limit) => write!(f, "  (at most {limit:.0})"),
            None => Ok(()),
        }
    }
}

/// A number of something.
pub(super) fn count(what: &'static str, value: usize, limit: Option<f64>) -> Line {
    // No run asks so much that a number would not fit.
    let value = u32::try_from(value).unwrap_or(u32::MAX).into();
    let unit = "";
    Line {
        what,
        unit,
        value,
        limit,
    }
}

/// A length of time.
pub(super) fn time(what: &'static str, value: Duration, limit: Option<f64>) -> Line {
    let value = value.as_secs_f64() * 1000.0;
    let unit = " ms";
    Line {
        what,
        unit,
        value,
        limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_its_limit_and_that_it_is_over() {
        let line = |value| count("x", value, Some(2.0)).to_string();
        assert!(line(2).ends_with("2  (at most 2)"));
        assert!(line(3).ends_with("3  OVER the limit of 2"));
        let free = time("x", Duration::from_millis(7), None);
        assert!(free.holds() && free.to_string().ends_with(" 7 ms"));
    }
}
