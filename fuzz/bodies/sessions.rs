//! Whole sessions: the simulation of the tests, every decision of which is the fuzzer's.

use super::choices::Choices;
use super::world;

/// Steps of the longest run, and payload of each application: enough for every state, few enough for many runs.
const STEPS: usize = 500;
const BUDGET: usize = 30_000;

pub fn sessions(data: &[u8]) {
    world::run(&mut Choices::Bytes(data), STEPS, BUDGET);
}
