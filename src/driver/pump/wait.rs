//! A task's wait: it gives the connection's spare memory back, and watches a deadline.
//!
//! The task does not see traffic that the application's thread handles. So that thread reports once when traffic begins
//! again:
//!
//! ```text
//!   in use ──a while without traffic──▶ shrunk ──traffic, the task is woken──▶ in use
//! ```
//!
//! May not touch the socket.

use crate::driver::connection::Connection;
use crate::sys;
use std::time::{Duration, Instant};

/// The time without traffic after which a connection gives its spare memory back.
const IDLE: Duration = Duration::from_secs(1);

/// Waits for a deadline, if there is one.
pub async fn until(connection: &Connection, deadline: Option<Instant>, is_fine: bool) {
    if let (Some(deadline), true) = (deadline, is_fine) {
        return sys::sleep_until(deadline).await;
    }
    rest(connection, deadline, IDLE, || {
        connection.lock().link.shrink()
    })
    .await;
    match deadline {
        // A timer of the runtime takes no descriptor, and a timer for a distant deadline need not be fine.
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Calls `shrink` once there was no traffic for the time `idle`, unless the deadline is nearer.
async fn rest(
    connection: &Connection,
    deadline: Option<Instant>,
    idle: Duration,
    shrink: impl FnOnce(),
) {
    loop {
        let next = Instant::now() + idle;
        connection.counters.watch_use();
        if deadline.is_some_and(|deadline| deadline <= next) {
            return;
        }
        let moved = connection.counters.moved();
        tokio::time::sleep_until(next.into()).await;
        // The notice comes before the look, so that later traffic is reported.
        connection.counters.await_use();
        if moved == connection.counters.moved() {
            return shrink();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::testing;
    use crate::driver::{Engine, Inbox};
    use std::cell::Cell;
    use std::sync::Arc;

    const SHORT: Duration = Duration::from_millis(50);

    fn run(work: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(work);
    }

    #[test]
    fn memory_is_given_back_again_after_traffic_that_the_task_did_not_see() {
        let engine = Engine::new(Arc::new(Inbox::new(|| {})), None);
        let connection = testing::connection(&engine);
        let shrunk = Cell::new(0);
        let shrink = || shrunk.set(shrunk.get() + 1);
        run(async {
            let woken = connection.flow.wake.notified();
            rest(&connection, None, SHORT, shrink).await;
            assert_eq!(shrunk.get(), 1);
            // What the application's thread does while it reads.
            connection.counters.read.add(5);
            if connection.counters.use_again() {
                connection.wake();
            }
            woken.await;
            let started = Instant::now();
            let traffic = async {
                connection.counters.read.add(5);
                if connection.counters.use_again() {
                    connection.wake();
                }
            };
            tokio::join!(rest(&connection, None, SHORT, shrink), traffic);
            assert_eq!(shrunk.get(), 2);
            assert!(started.elapsed() >= 2 * SHORT, "not while there is traffic");
        });
    }

    #[test]
    fn a_deadline_that_is_nearer_is_not_missed() {
        let engine = Engine::new(Arc::new(Inbox::new(|| {})), None);
        let connection = testing::connection(&engine);
        run(async {
            let deadline = Some(Instant::now());
            rest(&connection, deadline, Duration::from_secs(600), || {
                panic!("no")
            })
            .await;
        });
    }
}
