//! Tries every order in which two threads can pass through `src/driver/shared.rs`, by loom.
//!
//! Loom takes `SeqCst` for `AcqRel`, which is weaker, and would find orders that do not exist. So each such access stands
//! between two fences here, which loom knows. An access beside it that is weaker than it should be may profit from them.
//!
//! May not test what one thread alone would show.
#![cfg(feature = "driver")]

#[expect(dead_code, reason = "the driver uses all of it")]
#[path = "../src/driver/shared.rs"]
mod shared;

#[expect(dead_code, reason = "no type needs every access")]
mod sync {
    use loom::sync::atomic;
    pub use loom::sync::atomic::Ordering;

    fn fenced<R>(order: Ordering, work: impl FnOnce() -> R) -> R {
        let fence = || {
            if order == Ordering::SeqCst {
                atomic::fence(order);
            }
        };
        fence();
        let result = work();
        fence();
        result
    }

    macro_rules! atomics {
        ($($name:ident: $value:ty),*) => {
            $(
                #[derive(Debug)]
                pub struct $name(atomic::$name);

                impl $name {
                    pub fn new(value: $value) -> Self {
                        Self(atomic::$name::new(value))
                    }

                    pub fn load(&self, order: Ordering) -> $value {
                        fenced(order, || self.0.load(order))
                    }

                    pub fn store(&self, value: $value, order: Ordering) {
                        fenced(order, || self.0.store(value, order));
                    }

                    pub fn swap(&self, value: $value, order: Ordering) -> $value {
                        fenced(order, || self.0.swap(value, order))
                    }

                    pub fn fetch_update(
                        &self,
                        set: Ordering,
                        get: Ordering,
                        change: impl FnMut($value) -> Option<$value>,
                    ) -> Result<$value, $value> {
                        fenced(set, || self.0.fetch_update(set, get, change))
                    }
                }
            )*
        };
    }

    macro_rules! numbers {
        ($($name:ident: $value:ty),*) => {
            $(
                impl $name {
                    pub fn fetch_add(&self, more: $value, order: Ordering) -> $value {
                        fenced(order, || self.0.fetch_add(more, order))
                    }

                    pub fn fetch_sub(&self, less: $value, order: Ordering) -> $value {
                        fenced(order, || self.0.fetch_sub(less, order))
                    }
                }
            )*
        };
    }

    atomics!(AtomicBool: bool, AtomicU8: u8, AtomicU32: u32, AtomicU64: u64, AtomicUsize: usize);
    numbers!(AtomicU64: u64, AtomicUsize: usize);
}

use loom::sync::{Arc, Mutex};
use loom::thread;
use shared::{Asked, Counters, Counts, Members, Queue, Undelivered};

/// Tries all orders of two threads on something of both. Judges what both found.
fn try_all<T: Send + Sync + 'static, A: 'static, B: Send + 'static>(
    new: impl Fn() -> T + Send + Sync + 'static,
    app: fn(&T) -> A,
    task: fn(&T) -> B,
    judge: fn(&T, A, B),
) {
    loom::model(move || {
        let shared = Arc::new(new());
        let other = shared.clone();
        let task = thread::spawn(move || task(&other));
        let found = app(&shared);
        let other = task.join().expect("it does not panic");
        judge(&shared, found, other);
    });
}

const LOW: u64 = 100;

#[test]
fn who_asks_for_few_sees_that_few_are_left_or_is_told() {
    try_all(
        || {
            let queue = Queue::new();
            queue.publish(500);
            queue
        },
        |queue| queue.ask(LOW, || queue.length()),
        // As `Connection::tell_drained` does.
        |queue| {
            queue.publish(7);
            queue.tell(LOW, 7)
        },
        |_, queued, told| assert!(queued <= LOW || told, "{queued} and not told"),
    );
}

#[test]
fn who_leaves_more_behind_is_told_of_few_by_whoever_comes_last() {
    try_all(
        || {
            let queue = Queue::new();
            queue.publish(500);
            queue.want_few();
            queue
        },
        |queue| queue.ask(LOW, || queue.length()),
        // First a part, then the rest.
        |queue| {
            [300, 7].map(|left| {
                queue.publish(left);
                queue.tell(LOW, left)
            })
        },
        |queue, queued, told| {
            let waits = queued > LOW;
            assert!(!waits || told.contains(&true), "{queued} and {told:?}");
            assert!(!waits || queue.length() <= LOW);
        },
    );
}

#[test]
fn a_reader_without_room_is_told_of_room() {
    try_all(
        || {
            let undelivered = Undelivered::new(100);
            undelivered.add(150);
            undelivered
        },
        |undelivered| undelivered.deliver(150),
        Undelivered::ask_for_room,
        |_, told, has_room| assert!(has_room || told, "it waits for ever"),
    );
}

#[test]
fn what_is_queued_is_taken_or_asked_for_again() {
    type Inbox = (Asked, Mutex<Vec<u32>>);
    try_all(
        || {
            let inbox: Inbox = (Asked::new(), Mutex::new(vec![1]));
            inbox.0.ask();
            inbox
        },
        // As `Inbox::take` and `Inbox::notify` do.
        |(asked, queue): &Inbox| {
            asked.answer();
            std::mem::take(&mut *queue.lock().expect("no one panics with it"))
        },
        |(asked, queue)| {
            queue.lock().expect("no one panics with it").push(2);
            asked.ask()
        },
        |_, taken, asked| assert!(taken.contains(&2) || asked, "{taken:?} and not asked"),
    );
}

#[test]
fn what_is_absorbed_counts_twice_rather_than_not_at_all() {
    try_all(
        || {
            let counters = Counters::new(0);
            counters.deferred.set(10);
            counters
        },
        Counters::queued,
        // As `Connection::absorb` does.
        |counters| {
            counters.queue.add(10);
            counters.deferred.set(0);
        },
        |counters, queued, ()| {
            assert!(queued == 10 || queued == 20, "{queued}");
            assert_eq!(counters.queued(), 10);
        },
    );
}

#[test]
fn traffic_is_seen_before_memory_is_given_back_or_told_of() {
    try_all(
        || Counters::new(0),
        // As `Connection::send_after` does.
        |counters| {
            counters.written.add(5);
            counters.use_again()
        },
        // As a task does that has waited for a while since nothing had moved.
        |counters| {
            counters.await_use();
            counters.moved() != 0
        },
        |_, told, seen| assert!(told || seen, "it is shrunk, and nobody says so"),
    );
}

#[test]
fn who_sees_the_queue_fall_knows_of_the_stream_that_is_blocked() {
    try_all(
        || {
            let counters = Counters::new(0);
            counters.queue.publish(500);
            counters
        },
        |counters| (counters.queued(), counters.blocked_events()),
        |counters| {
            counters.publish(Counts {
                queued: 7,
                waiting: 493,
                blocked_events: 1,
                peer: 0,
            })
        },
        |_, (queued, blocked), before| {
            assert!(queued == 500 || blocked == 1, "{queued} and {blocked}");
            assert_eq!(before, 500);
        },
    );
}

#[test]
fn members_that_come_and_go_leave_the_right_one() {
    try_all(
        Members::new,
        |members| {
            members.add(7);
            members.remove(7);
            members.only()
        },
        |members| {
            members.add(9);
            members.only()
        },
        |members, first, second| {
            assert!(first.is_none_or(|only| only == 9));
            assert!(second.is_none_or(|only| only == 9));
            assert_eq!(members.only(), Some(9));
        },
    );
}
