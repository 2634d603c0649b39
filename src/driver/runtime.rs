//! The threads that tasks run on: a Tokio runtime each. Every environment has one of its own, until there are as many
//! threads as processors; from then on environments share them.
//!
//! More than one thread for one environment brought nothing in measurements: JavaScript's thread is what is short.
//!
//! A thread is never ended, and serves the next environment when its own has ended. A runtime that shuts down with its last
//! user would race the unloading of the library, which is linked `-z nodelete` for the same reason.
//!
//! May not know what runs on them.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use tokio::runtime::{Builder, Handle};

static THREADS: Mutex<Vec<Thread>> = Mutex::new(Vec::new());

struct Thread {
    handle: Handle,
    /// The number of environments that use it.
    users: usize,
}

fn threads() -> MutexGuard<'static, Vec<Thread>> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An environment's use of a thread.
pub struct Lease {
    handle: Handle,
    place: usize,
}

impl Lease {
    /// The thread's runtime.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        threads()[self.place].users -= 1;
    }
}

/// Takes the thread that serves the fewest environments, or a new one.
pub fn lease() -> io::Result<Lease> {
    let most = available_parallelism().map_or(1, usize::from);
    let mut threads = threads();
    let users: Vec<usize> = threads.iter().map(|it| it.users).collect();
    let place = choose(&users, most);
    if place == threads.len() {
        let handle = start(place + 1)?;
        threads.push(Thread { handle, users: 0 });
    }
    threads[place].users += 1;
    let handle = threads[place].handle.clone();
    Ok(Lease { handle, place })
}

/// The place of the thread for one more environment, by how many each thread serves: one behind the last for a new thread.
fn choose(users: &[usize], most: usize) -> usize {
    let least = (0..users.len()).min_by_key(|&place| users[place]);
    match least {
        Some(place) if users[place] == 0 || users.len() >= most => place,
        _ => users.len(),
    }
}

/// Starts a thread under the name `mux-io`, or `mux-io-2` and so on.
fn start(number: usize) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let name = match number {
        1 => "mux-io".into(),
        number => format!("mux-io-{number}"),
    };
    std::thread::Builder::new()
        .name(name)
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_have_threads_of_their_own_while_there_are_processors_for_them() {
        assert_eq!(choose(&[], 2), 0);
        assert_eq!(choose(&[1], 2), 1, "a second thread");
        assert_eq!(choose(&[1, 1], 2), 0, "shared from here on");
        assert_eq!(choose(&[2, 1], 2), 1, "by the fewest");
        assert_eq!(choose(&[1, 0, 1], 4), 1, "one that has become free");
        assert_eq!(choose(&[], 0), 0);
    }

    #[test]
    fn a_thread_outlives_its_environment_and_serves_the_next() {
        let started = || threads().len();
        for _ in 0..20 {
            let lease = lease().expect("a thread");
            let ran = lease
                .handle()
                .spawn(async { std::thread::current().name().map(String::from) });
            let name = lease.handle().clone();
            drop(lease);
            let name = std::thread::spawn(move || name.block_on(ran))
                .join()
                .expect("the end");
            assert!(
                name.expect("a task's end")
                    .is_some_and(|it| it.starts_with("mux-io"))
            );
        }
        assert!(started() <= available_parallelism().map_or(1, usize::from));
    }
}
