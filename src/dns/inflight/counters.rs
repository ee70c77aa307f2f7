//! What one worker's forwarding leaves behind for metrics: plain counts in its own cache lines.

use super::super::counters::Count;

/// Written by one worker, read by anybody.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct FlightCounters {
    /// Questions to a second upstream because the first was slower than usual.
    pub hedges: Count,
    /// Such questions that the budget did not allow at once.
    pub hedges_denied: Count,
    /// Questions to a second upstream because the first was silent or gave no usable answer.
    pub failovers: Count,
    /// Questions to an upstream that was asked before.
    pub retries: Count,
    /// Questions that were asked once more, beyond the budget, because half of their time was gone.
    pub overtime: Count,
    /// Questions that had to wait until the upstreams of their zone could take them.
    pub queued: Count,
    /// Of those, how many waited in vain.
    pub queue_drops: Count,
    /// Questions not asked because too many were under way, in all, of their zone or their prefix.
    pub questions_refused: Count,
    /// Waiters turned away from questions because there were too many.
    pub waiters_refused: Count,
    /// Refreshes that were left for there was no room.
    pub refreshes_dropped: Count,
    /// Questions that went to siblings.
    pub last_resort: Count,
    /// Of all zones, the fewest questions that may be at upstreams at a time.
    pub window: Count,
}
