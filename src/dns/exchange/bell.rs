//! Which of many sources of events has something to say, so that only those are looked at.
//!
//! Each source has a waker of its own, made of its number. Looking at a hundred silent sockets whenever
//! the worker's one task runs would cost more than answering a query from the cache; an empty list
//! costs one read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// Gathers the numbers of those who ring, and wakes the task that looks after them.
#[derive(Debug, Default)]
pub(super) struct Bell {
    has_rung: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rung: Vec<usize>,
    attendant: Option<Waker>,
}

impl Bell {
    /// A waker for the source with this number, and the means to look whether it may ring again.
    pub(super) fn button(self: &Arc<Self>, number: usize) -> Button {
        let inner = Arc::new(Inner {
            bell: Arc::clone(self),
            number,
            is_pressed: AtomicBool::new(false),
        });
        Button {
            waker: Waker::from(Arc::clone(&inner)),
            inner,
        }
    }

    /// Lets `waker` be woken from now on.
    pub(super) fn attend(&self, waker: &Waker) {
        let mut state = self.state();
        match &mut state.attendant {
            Some(attendant) => attendant.clone_from(waker),
            None => state.attendant = Some(waker.clone()),
        }
    }

    /// Moves the numbers of those who have rung to `rung`, which is empty.
    pub(super) fn take(&self, rung: &mut Vec<usize>) {
        if self.has_rung.load(Ordering::Acquire) {
            let mut state = self.state();
            self.has_rung.store(false, Ordering::Release);
            std::mem::swap(rung, &mut state.rung);
        }
    }

    fn ring(&self, number: usize) {
        let mut state = self.state();
        state.rung.push(number);
        self.has_rung.store(true, Ordering::Release);
        if let Some(attendant) = &state.attendant {
            attendant.wake_by_ref();
        }
    }

    /// A panic elsewhere leaves nothing half done here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One source's end.
#[derive(Debug)]
pub(super) struct Button {
    waker: Waker,
    inner: Arc<Inner>,
}

impl Button {
    /// To be handed to what the source waits for.
    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Rings by hand.
    pub(super) fn press(&self) {
        self.waker.wake_by_ref();
    }

    /// Before the source is looked at: what happens from now on rings again.
    pub(super) fn release(&self) {
        self.inner.is_pressed.store(false, Ordering::Release);
    }
}

#[derive(Debug)]
struct Inner {
    bell: Arc<Bell>,
    number: usize,
    /// It stands in the list already: the list is no longer than there are sources.
    is_pressed: AtomicBool,
}

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_pressed.swap(true, Ordering::AcqRel) {
            self.bell.ring(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Attendant(AtomicUsize);

    impl Wake for Attendant {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn whoever_rings_is_listed_once_until_looked_at() {
        let (bell, attendant) = (Arc::new(Bell::default()), Arc::new(Attendant::default()));
        bell.attend(&Waker::from(Arc::clone(&attendant)));
        let buttons = [bell.button(0), bell.button(1)];
        buttons[1].press();
        buttons[1].waker().wake_by_ref();
        buttons[0].press();
        let mut rung = Vec::new();
        bell.take(&mut rung);
        assert_eq!(rung, [1, 0]);
        assert_eq!(attendant.0.load(Ordering::Relaxed), 2);
        rung.clear();
        buttons[1].press();
        bell.take(&mut rung);
        assert!(rung.is_empty());
        buttons[1].release();
        buttons[1].press();
        bell.take(&mut rung);
        assert_eq!(rung, [1]);
    }
}
