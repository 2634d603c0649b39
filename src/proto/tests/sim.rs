//! Whole connections over a simulated transport, one for each seed: no loss, no duplication, no reordering, no deadlock,
//! no window exceeded, no event that does not belong.
//!
//! `TSM_SEEDS=100000` runs more of them, `TSM_STEPS=1000` longer ones, and `TSM_SEED=17` the one that a failure named.

use super::choices::Choices;
use super::seeds::{expect, for_each_seed, variable};
use super::world;

/// Connections in an ordinary run of the tests.
const SEEDS: u64 = 3000;

/// Most steps of a connection before it is wound up.
const STEPS: usize = 300;

/// Payload that each application writes at most.
const BUDGET: usize = 400_000;

/// What has to happen in them besides [`EVENTS`](super::seeds::EVENTS).
const EXPECTED: [&str; 3] = [
    "go-away of a stream",
    "sent in place",
    "sent in place, a part of it",
];

#[test]
fn whole_connections_lose_nothing_and_come_to_an_end() {
    let steps = variable("TSM_STEPS").map_or(STEPS, |steps| steps as usize);
    let arguments = "--no-default-features proto::tests::sim";
    let tally = for_each_seed(SEEDS, arguments, |seed| {
        world::run(&mut Choices::Seed(seed), steps, BUDGET)
    });
    expect(&tally, &EXPECTED);
}

#[test]
fn ends_that_do_not_fit_tell_each_other() {
    for seed in 0..200 {
        world::run_misfit(&mut Choices::Seed(seed));
    }
}
