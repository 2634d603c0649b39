//! How many bytes a connection has queued, and whether the application waits to hear that few are left.
//!
//! Two threads meet here without a lock. The application first says that it wants to hear, and then looks at the count;
//! the task first publishes the count, and then looks whether somebody wants to hear. So one of them sees the other:
//! either the application finds the count low, or the task tells it. It may be told without need, and looks then.
//!
//! May not know what is counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The count, and the wish.
#[derive(Debug, Default)]
pub struct Drained {
    queued: AtomicU64,
    is_wanted: AtomicBool,
}

impl Drained {
    /// Bytes queued, as far as published.
    pub fn queued(&self) -> u64 {
        self.queued.load(Ordering::SeqCst)
    }

    /// Publishes the count. Returns what was published before.
    pub fn publish(&self, queued: u64) -> u64 {
        self.queued.swap(queued, Ordering::SeqCst)
    }

    /// Adds to the count.
    pub fn add(&self, more: u64) {
        self.queued.fetch_add(more, Ordering::SeqCst);
    }

    /// The application has more queued than it likes, and wants to hear when that has changed.
    pub fn want(&self) {
        self.is_wanted.store(true, Ordering::SeqCst);
    }

    /// Whether it does.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::SeqCst)
    }

    /// For the application: counts what is queued, and wants to hear if that is more than `low`.
    pub fn ask(&self, low: u64, count: impl FnOnce() -> u64) -> u64 {
        self.want();
        step();
        let queued = count();
        if queued <= low {
            self.is_wanted.store(false, Ordering::SeqCst);
        }
        queued
    }

    /// For the task: `publish` brings the count up to date. Returns whether the application is to be told that it is at
    /// most `low`.
    pub fn tell(&self, low: u64, publish: impl FnOnce() -> u64) -> bool {
        let queued = publish();
        step();
        if !self.is_wanted.swap(false, Ordering::SeqCst) {
            return false;
        }
        step();
        if queued > low {
            self.want();
        }
        queued <= low
    }
}

/// Where the other thread may come between two steps.
fn step() {
    #[cfg(test)]
    tests::step();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::sync::Arc;

    type Act = Box<dyn FnOnce()>;

    thread_local! {
        /// Steps until the other thread comes in between, and what it does then.
        static OTHER: RefCell<Option<(u32, Act)>> = RefCell::default();
    }

    pub fn step() {
        let due = OTHER.with_borrow_mut(|other| match other {
            Some((0, _)) => other.take(),
            Some((steps, _)) => {
                *steps -= 1;
                None
            }
            None => None,
        });
        if let Some((_, act)) = due {
            act();
        }
    }

    const LOW: u64 = 100;

    #[test]
    fn whoever_finds_too_much_queued_is_told_when_it_has_drained() {
        // All places where one can come between the other's steps, and the ends.
        for at in 0..4 {
            for task_is_first in [false, true] {
                for was_wanted in [false, true] {
                    let drained = Arc::new(Drained::default());
                    drained.publish(1000);
                    if was_wanted {
                        drained.want();
                    }
                    let found = Arc::new(AtomicU64::new(u64::MAX));
                    let told = Arc::new(AtomicBool::new(false));
                    let ask = {
                        let (drained, found) = (drained.clone(), found.clone());
                        move || found.store(drained.ask(LOW, || drained.queued()), Ordering::SeqCst)
                    };
                    let tell = {
                        let (drained, told) = (drained.clone(), told.clone());
                        move || {
                            let publish = || {
                                step();
                                drained.publish(0);
                                0
                            };
                            told.store(drained.tell(LOW, publish), Ordering::SeqCst);
                        }
                    };
                    let (first, second): (Act, Act) = match task_is_first {
                        true => (Box::new(tell), Box::new(ask)),
                        false => (Box::new(ask), Box::new(tell)),
                    };
                    OTHER.set(Some((at, second)));
                    first();
                    if let Some((_, second)) = OTHER.take() {
                        second();
                    }
                    assert!(
                        found.load(Ordering::SeqCst) <= LOW || told.load(Ordering::SeqCst),
                        "lost with the task first: {task_is_first}, at {at}, wanted: {was_wanted}"
                    );
                }
            }
        }
    }

    #[test]
    fn nobody_is_told_of_a_queue_that_is_still_long_and_the_wish_stays() {
        let drained = Drained::default();
        assert!(!drained.tell(LOW, || 0), "nobody asked");
        drained.publish(LOW + 1);
        assert_eq!(drained.ask(LOW, || drained.queued()), LOW + 1);
        assert!(!drained.tell(LOW, || LOW + 1) && drained.is_wanted());
        assert!(drained.tell(LOW, || LOW) && !drained.is_wanted());
        assert_eq!(drained.ask(LOW, || LOW), LOW);
        assert!(!drained.is_wanted());
    }
}
