//! Where the cache's atomics come from: the standard library, or loom when it plays out threads.

#[cfg(not(all(test, cache_model)))]
pub(super) use std::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(all(test, cache_model))]
pub(super) use loom::sync::atomic::{AtomicU64, Ordering, fence};

/// `count` words of zero. No page of them is touched before it is used.
#[cfg(not(all(test, cache_model)))]
pub(super) fn zeroed(count: usize) -> Box<[AtomicU64]> {
    bytemuck::zeroed_slice_box(count)
}

#[cfg(all(test, cache_model))]
pub(super) fn zeroed(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}
