//! State that the connections' tasks share on their thread.
//!
//! Nothing but a count may outlive a turn.

use crate::driver::connection::Connection;
use crate::driver::inbox::collector::Collector;
use crate::driver::link::life::Failure;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

thread_local! {
    /// The collector of the connection that has its turn on this thread.
    static COLLECTOR: RefCell<Collector> = RefCell::default();
    /// The number of connections whose last turn on this thread left something to read.
    static BUSY: Cell<usize> = const { Cell::new(0) };
}

/// Whether a connection is one of those that left something to read.
#[derive(Default)]
pub struct Busy(bool);

impl Busy {
    /// Notes whether the connection's turn, which is over, left something to read.
    pub fn set(&mut self, is_busy: bool) {
        if is_busy != self.0 {
            self.0 = is_busy;
            BUSY.with(|count| match is_busy {
                true => count.set(count.get() + 1),
                false => count.set(count.get() - 1),
            });
        }
    }

    /// Whether other connections left something to read.
    pub fn is_shared(&self) -> bool {
        BUSY.get() > usize::from(self.0)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// Works with the thread's collector, set up for `connection`.
pub fn with_collector<R>(connection: &Connection, work: impl FnOnce(&mut Collector) -> R) -> R {
    COLLECTOR.with_borrow_mut(|collector| {
        collector.start(connection.id);
        work(collector)
    })
}

/// Does `work`. A panic is a defect of ours: it ends this connection, and not the process. Without this, the runtime
/// would drop the task, and the application would wait for ever.
pub async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let mut work = pin!(work);
    poll_fn(
        |context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Failure::Defect)),
        },
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_shares_the_thread_while_another_has_more_to_read() {
        let (mut one, mut other) = (Busy::default(), Busy::default());
        one.set(true);
        one.set(true);
        assert!(!one.is_shared() && other.is_shared());
        other.set(true);
        assert!(one.is_shared());
        other.set(false);
        assert!(!one.is_shared());
        other.set(true);
        drop(other);
        assert!(!one.is_shared());
    }
}
