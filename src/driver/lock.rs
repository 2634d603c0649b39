//! The driver's locks, and the order in which a thread may take them.
//!
//! ```text
//!   Tables ──▶ Link ──▶ Deferred ──▶ Gate ──▶ Carried ──▶ Inbox ──▶ Signal
//! ```
//!
//! A thread that holds one of these locks may take only those to its right. Debug builds assert that at each
//! acquisition, so a test that passes through a wrong order fails without the deadlock that needs two threads.
//!
//! A panic with a lock held leaves the data as it was between two statements. All data behind these locks can bear
//! that, except for a connection's link, which its owner gives up (`Connection::give_up`).
//!
//! May not know what a lock protects.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, TryLockError};

/// The place of a lock in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The connections and servers of an environment, who waits to be let in, and what addresses have used up of their
    /// resets.
    Tables,
    /// One connection's link. No thread holds two of them.
    Link,
    /// The commands that found the link locked; the socket, for callers who set an option on it.
    Deferred,
    /// The memory that JavaScript lends.
    Gate,
    /// What waits between a carrier and its connection.
    Carried,
    /// The queue of events.
    Inbox,
}

/// A lock of some rank.
#[derive(Debug)]
pub struct Lock<T> {
    rank: Rank,
    mutex: Mutex<T>,
}

/// Access to the data, until this is dropped.
#[derive(Debug)]
pub struct Guard<'a, T> {
    // The mutex is unlocked before the rank is released.
    guard: MutexGuard<'a, T>,
    _held: Held,
}

impl<T> Lock<T> {
    /// A lock over `data`.
    pub fn new(rank: Rank, data: T) -> Self {
        let mutex = Mutex::new(data);
        Self { rank, mutex }
    }

    /// Waits for the data, which may be in the state in which a panic left it.
    pub fn lock(&self) -> Guard<'_, T> {
        self.lock_or_else(|guard| guard)
    }

    /// Waits for the data. If a thread panicked while it held the lock, `mend` sees the data first.
    pub fn lock_or_else(&self, mend: impl FnOnce(Guard<'_, T>) -> Guard<'_, T>) -> Guard<'_, T> {
        let held = Held::new(self.rank);
        match self.mutex.lock() {
            Ok(guard) => Guard { guard, _held: held },
            Err(poisoned) => {
                self.mutex.clear_poison();
                let guard = poisoned.into_inner();
                mend(Guard { guard, _held: held })
            }
        }
    }

    /// Returns the data, unless another thread has it. If a thread panicked while it held the lock, `mend` sees the
    /// data first.
    pub fn try_lock_or_else(
        &self,
        mend: impl FnOnce(Guard<'_, T>) -> Guard<'_, T>,
    ) -> Option<Guard<'_, T>> {
        match self.mutex.try_lock() {
            Ok(guard) => Some(Guard {
                guard,
                _held: Held::new(self.rank),
            }),
            Err(TryLockError::Poisoned(poisoned)) => {
                self.mutex.clear_poison();
                Some(mend(Guard {
                    guard: poisoned.into_inner(),
                    _held: Held::new(self.rank),
                }))
            }
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// A rank that this thread holds, as long as this value lives. A release build has no cost for it.
#[derive(Debug)]
pub struct Held(#[cfg(debug_assertions)] Rank);

#[cfg(debug_assertions)]
thread_local! {
    static HELD: std::cell::RefCell<Vec<Rank>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl Held {
    /// Notes that this thread is about to wait for a lock of this rank.
    #[cfg(debug_assertions)]
    pub fn new(rank: Rank) -> Self {
        HELD.with_borrow_mut(|held| {
            if let Some(&last) = held.last() {
                assert!(
                    last < rank,
                    "{rank:?} may not be locked while {last:?} is held"
                );
            }
            held.push(rank);
        });
        Self(rank)
    }

    /// Notes that this thread is about to wait for a lock of this rank.
    #[cfg(not(debug_assertions))]
    #[inline]
    pub fn new(_rank: Rank) -> Self {
        Self()
    }
}

#[cfg(debug_assertions)]
impl Drop for Held {
    fn drop(&mut self) {
        HELD.with_borrow_mut(|held| {
            let at = held.iter().rposition(|&rank| rank == self.0);
            at.map(|at| held.remove(at));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_taken_in_their_order() {
        let (link, inbox) = (Lock::new(Rank::Link, 1), Lock::new(Rank::Inbox, 2));
        let held = link.lock();
        assert_eq!(*held + *inbox.lock(), 3);
        drop(held);
        assert_eq!(*inbox.lock(), 2);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "Link may not be locked while Inbox is held")]
    fn the_wrong_order_is_a_panic_of_debug_builds() {
        let (link, inbox) = (Lock::new(Rank::Link, 1), Lock::new(Rank::Inbox, 2));
        let _held = inbox.lock();
        let _ = link.lock();
    }
}
