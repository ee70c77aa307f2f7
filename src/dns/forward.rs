//! What serving a query wants from forwarding: the seam between the two halves of the query path.
//!
//! Source: RFC 8914 §4 (the EDE codes that the failures stand for), RFC 8767 §5 (who waits less long).

use std::task::Context;
use std::time::Instant;
use std::vec::Drain;

use super::client::Asker;
use super::key::Key;

/// Asks upstreams on behalf of the queries of one worker, each of which is a `W` while it waits.
pub trait Forward<W> {
    /// Whether the zone that `key` belongs to has an upstream that is believed to answer.
    fn is_usable(&self, key: &Key) -> bool;

    /// Lets `waiter` wait, on behalf of `asker`, for the outcome of a question, which begins or is under way. Sends nothing
    /// before [`Forward::flush`]. At `give_up_at` the waiter hears that there is nothing yet; the
    /// question goes on, for its outcome still reaches the cache.
    ///
    /// # Errors
    /// Nothing is waited for: why, and the waiter.
    fn ask(
        &mut self,
        key: &Key,
        asker: Asker,
        waiter: W,
        give_up_at: Option<Instant>,
        now: Instant,
    ) -> Result<(), (Failure, W)>;

    /// Whether [`Forward::refresh`] is worth a try.
    fn may_refresh(&self, key: &Key, wish: Wish) -> bool;

    /// Has an answer fetched that nobody waits for; whether that has begun. Given up at once where
    /// there is no room.
    #[must_use]
    fn refresh(&mut self, key: &Key, now: Instant) -> bool;

    /// Sends what has gathered.
    fn flush(&mut self, now: Instant);

    /// Receives, does what is due, and sends what follows from it. Lets `cx` be woken when there is
    /// more to do. `done` must not call the forwarder.
    fn poll(&mut self, cx: &mut Context<'_>, now: Instant, done: &mut Done<'_, W>) -> Progress;

    /// Different questions under way.
    fn under_way(&self) -> usize;

    /// How many wait for them.
    fn waiting(&self) -> usize;
}

/// Why an answer is to be fetched although no client waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It is popular and expires soon. That can wait while an upstream of its zone is down: the others
    /// have enough to do.
    Early,
    /// It has expired, and fetching it has failed: one usable upstream is enough to try again.
    Again,
}

/// Called once for each question that has ended, with all who still wait for it; besides before that
/// with [`Outcome::NotYet`] for those who give up, and with [`Failure::NoneUsable`] for other nodes
/// that wait for a question that now goes to siblings: it must not come back to them.
pub type Done<'a, W> = dyn FnMut(&Key, Outcome<'_>, Drain<'_, W>) + 'a;

/// How a question to the upstreams ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// An upstream answered; the RCODE may still be an error. The whole message, without what came
    /// behind it: its sender, id and question have been checked and its records can be walked. The
    /// id is the one sent upstream, the question as asked, in lower case.
    Answered(&'a mut [u8]),
    /// It has not ended, but these waiters give up.
    NotYet,
    /// No upstream answered.
    Failed(Failure),
}

/// Why no upstream answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Every upstream of the zone is known to be dead, and so are the siblings. EDE 22.
    NoneUsable,
    /// Upstreams were asked, and gave nothing that can be handed on: an error without a question
    /// section, a message that cannot be read, a refusal of the network, nothing over TCP. EDE 22.
    /// Worth remembering, RFC 9520 §3.2.
    Unanswered,
    /// The deadline passed. EDE 22.
    TimedOut,
    /// Too many questions are under way, in all or of this zone or client prefix. EDE 23.
    Saturated,
}

/// How far [`Forward::poll`] has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// There may be more at hand: call again after others had their turn. The task is not woken.
    More,
    /// The task is woken when there is more.
    Waiting,
}
