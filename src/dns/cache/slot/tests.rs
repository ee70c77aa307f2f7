//! Every order of events that the memory model allows, played out by loom:
//!
//! ```text
//! RUSTFLAGS="--cfg cache_model" cargo test --lib cache::slot
//! ```
//! One slot, two words, a writer and one or two readers; with three threads at most three of them
//! are interrupted. Other tests need a build without that flag.

use loom::sync::Arc;
use loom::thread;

use super::super::atomics::{AtomicU64, Ordering};
use super::*;

/// Plays `run` out and tells how often that was; `interruptions` bounds the search.
fn play(interruptions: Option<usize>, run: impl Fn() + Sync + Send + 'static) {
    let played = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = interruptions;
    builder.check({
        let played = std::sync::Arc::clone(&played);
        move || {
            played.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            run();
        }
    });
    println!("played {played:?} times");
}

struct Place {
    cell: AtomicU64,
    words: [AtomicU64; 2],
}

impl Place {
    /// Both words say `value`, and the slot leads there.
    fn new(value: u64) -> Self {
        Self {
            cell: AtomicU64::new(Slot::new(7, value).0),
            words: [AtomicU64::new(value), AtomicU64::new(value)],
        }
    }

    fn write(&self, value: u64) {
        before_reuse();
        for word in &self.words {
            word.store(value, Ordering::Relaxed);
        }
    }

    fn read(&self) -> Option<(Slot, [u64; 2])> {
        let seen = load(&self.cell);
        if !seen.has_tag(7) {
            return None;
        }
        let copy = [0, 1].map(|index: usize| self.words[index].load(Ordering::Relaxed));
        vouches(&self.cell, seen).then_some((seen, copy))
    }
}

/// The words that a slot vouches for are those of its place.
fn assert_whole(read: Option<(Slot, [u64; 2])>) {
    if let Some((slot, copy)) = read {
        assert_eq!(copy, [slot.place(); 2]);
    }
}

#[test]
fn a_copy_that_the_slot_vouches_for_is_whole_while_the_words_are_used_again() {
    play(None, || {
        let place = Arc::new(Place::new(1));
        let reader = thread::spawn({
            let place = Arc::clone(&place);
            move || assert_whole(place.read())
        });
        clear(&place.cell);
        place.write(2);
        set(&place.cell, Slot::new(7, 2));
        assert!(reader.join().is_ok());
    });
}

/// The writer that clears and the one that writes are two threads, one after the other.
#[test]
fn a_lock_between_clearing_and_writing_changes_nothing() {
    play(Some(3), || {
        let place = Arc::new(Place::new(1));
        let lock = Arc::new(loom::sync::Mutex::new(false));
        let other = thread::spawn({
            let (place, lock) = (Arc::clone(&place), Arc::clone(&lock));
            move || {
                if let Ok(mut cleared) = lock.lock() {
                    clear(&place.cell);
                    *cleared = true;
                }
            }
        });
        let reader = thread::spawn({
            let place = Arc::clone(&place);
            move || assert_whole(place.read())
        });
        if lock.lock().is_ok_and(|cleared| *cleared) {
            place.write(2);
            set(&place.cell, Slot::new(7, 2));
        }
        assert!(other.join().is_ok() && reader.join().is_ok());
    });
}

/// One thread has used the words again, another has changed one of them where it stands.
#[test]
fn a_change_in_place_by_the_next_writer_is_no_part_of_the_entry_before() {
    play(Some(3), || {
        let place = Arc::new(Place::new(1));
        let lock = Arc::new(loom::sync::Mutex::new(false));
        let other = thread::spawn({
            let (place, lock) = (Arc::clone(&place), Arc::clone(&lock));
            move || {
                if let Ok(mut written) = lock.lock() {
                    clear(&place.cell);
                    place.write(2);
                    *written = true;
                }
            }
        });
        let reader = thread::spawn({
            let place = Arc::clone(&place);
            move || assert_whole(place.read())
        });
        if lock.lock().is_ok_and(|written| *written) {
            store_live(&place.words[1], 3);
        }
        assert!(other.join().is_ok() && reader.join().is_ok());
    });
}

/// A visit neither brings a cleared slot back nor spoils the next one.
#[test]
fn a_visit_never_touches_another_entry() {
    play(None, || {
        let place = Arc::new(Place::new(1));
        let reader = thread::spawn({
            let place = Arc::clone(&place);
            move || {
                if let Some((seen, _)) = place.read() {
                    visit(&place.cell, seen);
                }
            }
        });
        clear(&place.cell);
        let cleared = load(&place.cell);
        assert!(cleared.is_free());
        place.write(2);
        set(&place.cell, Slot::new(7, 2));
        assert!(reader.join().is_ok());
        let last = load(&place.cell);
        assert_eq!(last.version(), Slot::new(7, 2).version());
        assert_whole(place.read());
    });
}

/// A reader that sees the mark of a visitor still sees the words that the writer has written.
#[test]
fn a_visited_slot_still_brings_the_words() {
    play(Some(3), || {
        let place = Arc::new(Place::new(1));
        let readers = [0, 1].map(|_| {
            let place = Arc::clone(&place);
            thread::spawn(move || {
                let read = place.read();
                assert_whole(read);
                if let Some((seen, _)) = read {
                    visit(&place.cell, seen);
                }
            })
        });
        clear(&place.cell);
        place.write(2);
        set(&place.cell, Slot::new(7, 2));
        assert!(readers.into_iter().all(|reader| reader.join().is_ok()));
    });
}
