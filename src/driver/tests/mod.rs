//! Whole connections of two links, each with both its pumps, over scripted sockets and under a simulated clock.
//!
//! - `drain`: one turn of a task, with JavaScript at each of its moments.
//! - `sim`: one connection for each seed, and what has to happen in them.
//! - `world`: what happens next, and what must hold.
//! - `endings`: how a connection ends, and what must hold then.
//! - `runner`: one end's task, polled by hand.
//! - `js`: one end's JavaScript thread, with the application of `proto::tests`.
//! - `records`: what JavaScript reads of the inbox.
//! - `secrets`: certificates and keys, where the connection is encrypted.
//! - `network`: the sockets, and what is between them.
//!
//! Nothing here may depend on anything but the seed.

mod drain;
mod endings;
mod js;
mod network;
mod records;
mod runner;
#[cfg(feature = "tls")]
mod secrets;
mod sim;
mod world;

use crate::proto::tests::choices::Choices;
use std::sync::{Arc, Mutex, MutexGuard};

/// The decisions of one run, for all who have some to make. Everything of a run happens on one thread.
#[derive(Clone, Debug)]
pub struct Dice(Arc<Mutex<Choices<'static>>>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Choices::Seed(seed))))
    }

    /// For whoever decides more than once. Nobody else may meanwhile.
    pub fn all(&self) -> MutexGuard<'_, Choices<'static>> {
        self.0.try_lock().expect("one decides at a time")
    }

    pub fn below(&self, end: usize) -> usize {
        self.all().below(end)
    }

    pub fn once_in(&self, times: usize) -> bool {
        self.all().once_in(times)
    }

    pub fn pick<T: Copy>(&self, from: &[T]) -> T {
        self.all().pick(from)
    }

    pub fn size(&self, most: usize) -> usize {
        self.all().size(most)
    }
}
