//! What is told of drains.

use serde::{Deserialize, Serialize};

/// An order to drain that stands, and how far it has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StandingDrain {
    /// Name of the service; `None`: all.
    pub service: Option<String>,
    /// Who wanted it.
    pub who: String,
    /// As given by who asked.
    pub reason: String,
    /// Seconds since it was asked for; restarts do not count.
    pub since_s: u64,
    /// When it ends by itself, in Unix time; `None`: when it is taken back.
    pub until_unix_s: Option<u64>,
    /// The same from now on.
    pub left_s: Option<u64>,
    /// How far it is.
    pub phase: DrainPhase,
    /// Queries per second now, over the last second; `None`: nobody counts them.
    pub rate: Option<f64>,
    /// The same when clients began to be moved away; `None` after a restart too.
    pub rate_at_start: Option<f64>,
    /// How long it took until it was drained; `None`: not yet, or before a restart.
    pub drained_after_ms: Option<u64>,
}

/// How far a drain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DrainPhase {
    /// At `backup`; clients are moving away.
    Leaving,
    /// Withdrawn; late queries are still answered.
    Drained,
}

/// A drain with everything in it, for tests.
#[cfg(test)]
pub(crate) fn example() -> StandingDrain {
    StandingDrain {
        service: Some("resolver".into()),
        who: "ops".into(),
        reason: "new kernel".into(),
        since_s: 65,
        until_unix_s: Some(1_800_000_000),
        left_s: Some(1_735),
        phase: DrainPhase::Drained,
        rate: Some(0.4),
        rate_at_start: Some(1_240.0),
        drained_after_ms: Some(3_250),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Status;
    use crate::admin::status;

    #[test]
    fn a_drain_is_told_as_documented() {
        let json = r#"{"service":"resolver","who":"ops","reason":"new kernel","since_s":65,"until_unix_s":1800000000,"left_s":1735,"phase":"drained","rate":0.4,"rate_at_start":1240.0,"drained_after_ms":3250}"#;
        assert_eq!(serde_json::to_string(&example()).unwrap(), json);
        let read: StandingDrain = serde_json::from_str(json).unwrap();
        assert_eq!(read, example());
    }

    #[test]
    fn a_status_of_an_older_node_has_no_drains_and_can_be_read() {
        let mut told = serde_json::to_value(status::example()).unwrap();
        told.as_object_mut().unwrap().remove("drains").unwrap();
        let read: Status = serde_json::from_value(told).unwrap();
        assert_eq!(read, status::example());
    }
}
