//! Where the answers for one TCP connection gather while it does something else.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// Answers of one worker that TCP clients have not taken yet: octets in all, from which on a
/// connection that holds more than [`HELD_FREE`] has to go.
const HELD_MAX: usize = 16 << 20;
/// A connection that holds no more than this never has to go for the others' sake: 512 of them can
/// hold another 16 MiB.
const HELD_FREE: usize = 32 << 10;

/// What all connections of a worker hold, in octets; clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Held(Rc<Cell<usize>>);

/// What a connection and those who answer it share.
#[derive(Debug)]
pub(super) struct Mailbox {
    /// The number of the socket that accepted the connection.
    socket: Cell<usize>,
    /// Answers with their lengths, ready to be written.
    answers: RefCell<Vec<u8>>,
    /// Questions that wait for upstreams.
    waiting: Cell<usize>,
    /// When the client last did what it should: asked, or took an answer.
    active: Cell<Instant>,
    /// Answers that it has not taken, in octets.
    held: Cell<usize>,
    over: Cell<bool>,
    /// Questions stay unread until the next heartbeat.
    paused: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    all_held: Held,
}

impl Mailbox {
    pub(super) fn new(all_held: Held, now: Instant) -> Self {
        Self {
            socket: Cell::new(usize::MAX),
            answers: RefCell::default(),
            waiting: Cell::new(0),
            active: Cell::new(now),
            held: Cell::new(0),
            over: Cell::new(false),
            paused: Cell::new(false),
            waker: RefCell::default(),
            all_held,
        }
    }

    /// The same for a connection that the socket with this number has accepted.
    pub(super) fn at(self, socket: usize) -> Self {
        self.socket.set(socket);
        self
    }

    /// Which socket has accepted the connection; those of services are the first.
    pub(super) fn socket(&self) -> usize {
        self.socket.get()
    }

    /// One more question waits.
    pub(super) fn expect(&self) {
        self.waiting.set(self.waiting.get() + 1);
    }

    /// How many questions wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.get()
    }

    /// An answer that was waited for; `write` appends it to a buffer.
    pub(super) fn deliver(&self, write: impl FnOnce(&mut Vec<u8>)) {
        self.waiting.set(self.waiting.get().saturating_sub(1));
        if self.over.get() {
            return;
        }
        let mut answers = self.answers.borrow_mut();
        let before = answers.len();
        if frame(&mut answers, write).is_none() {
            self.end();
        }
        let more = answers.len() - before;
        self.hold(self.held.get() + more);
        self.wake();
    }

    /// Moves what has been delivered behind `unsent`, without a copy where that is empty.
    pub(super) fn collect(&self, unsent: &mut Vec<u8>) {
        let mut answers = self.answers.borrow_mut();
        if unsent.is_empty() {
            *unsent = std::mem::take(&mut *answers);
        } else {
            unsent.append(&mut answers);
            *answers = Vec::new();
        }
    }

    /// Says how much the connection holds now; ends it when that is too much for all.
    pub(super) fn hold(&self, octets: usize) {
        let others = self.all_held.0.get().saturating_sub(self.held.get());
        self.held.set(octets);
        self.all_held.0.set(others + octets);
        if others + octets > HELD_MAX && octets > HELD_FREE {
            self.end();
        }
    }

    /// The client did what it should.
    pub(super) fn note_activity(&self, now: Instant) {
        self.active.set(now);
    }

    /// How long the client has done nothing.
    pub(super) fn silent_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.active.get())
    }

    /// Whether the client has answers to take.
    pub(super) fn is_holding(&self) -> bool {
        self.held.get() > 0
    }

    /// Ends the connection as soon as its task runs.
    pub(super) fn end(&self) {
        self.over.set(true);
        self.wake();
    }

    /// Whether the connection has to end.
    pub(super) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// No question is to be read before [`Mailbox::resume`].
    pub(super) fn pause(&self) {
        self.paused.set(true);
    }

    /// Ends a pause.
    pub(super) fn resume(&self) {
        if self.paused.replace(false) {
            self.wake();
        }
    }

    /// Whether no question is to be read.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.get()
    }

    /// The task to wake from now on.
    pub(super) fn register(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(known) => known.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.hold(0);
    }
}

/// Appends what `write` writes, with its length before it; `None` when it is too long for that.
pub(super) fn frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Option<()> {
    let start = out.len();
    out.extend_from_slice(&[0; super::tcp::PREFIX]);
    write(out);
    put_length(out, start)
}

/// Fills in the length of the message that starts behind the two octets at `start`.
pub(super) fn put_length(out: &mut [u8], start: usize) -> Option<()> {
    let (prefix, message) = out.get_mut(start..)?.split_first_chunk_mut()?;
    *prefix = u16::try_from(message.len()).ok()?.to_be_bytes();
    Some(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "any instant will do")]

    use super::*;

    fn mailbox(held: &Held) -> Mailbox {
        Mailbox::new(held.clone(), Instant::now())
    }

    #[test]
    fn answers_are_framed_and_collected_in_order() {
        let mailbox = mailbox(&Held::default());
        for number in 1..=2_usize {
            mailbox.expect();
            mailbox.deliver(|out| out.resize(out.len() + number, 7));
        }
        assert_eq!((mailbox.waiting(), mailbox.is_holding()), (0, true));
        let mut unsent = vec![9];
        mailbox.collect(&mut unsent);
        assert_eq!(unsent, [9, 0, 1, 7, 0, 2, 7, 7]);
    }

    /// A client that asks and never reads must not take the memory of all.
    #[test]
    fn the_greedy_connection_ends_when_all_hold_too_much() {
        let held = Held::default();
        let (greedy, modest) = (mailbox(&held), mailbox(&held));
        greedy.hold(HELD_MAX);
        assert!(!greedy.is_over());
        modest.hold(HELD_FREE);
        assert!(!modest.is_over());
        greedy.deliver(|out| out.push(1));
        assert!(greedy.is_over());
        drop(greedy);
        assert_eq!(held.0.get(), HELD_FREE);
    }
}
