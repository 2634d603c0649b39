//! Whole connections of two links and their pumps, one for each seed: every byte arrives once and in order, every stream
//! and every connection comes to its end, whoever waits is told, and nothing waits for ever while there is work.
//!
//! `TSM_SEEDS=10000` runs more of them, `TSM_STEPS=1000` longer ones, and `TSM_SEED=17` the one that a failure named.

use super::world;
use crate::proto::tests::seeds::{expect, for_each_seed, variable};
use std::sync::Once;

/// Connections in an ordinary run of the tests.
const SEEDS: u64 = 6000;

/// Most steps of a connection before it is wound up.
const STEPS: usize = 300;

/// Payload that each application writes at most.
const BUDGET: usize = 200_000;

/// What has to happen in them besides [`EVENTS`](crate::proto::tests::seeds::EVENTS).
const EXPECTED: [&str; 9] = [
    "read here",
    "deferred",
    "sent in place",
    "sent in place, a part of it",
    "sent in place, nothing of it",
    "drain told",
    "drained",
    "exit",
    "exit in the middle of a send",
];

/// Panics that a test wants are not told.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.payload().downcast_ref::<&str>();
            if text.is_none_or(|text| !text.contains("as the test wants it")) {
                before(info);
            }
        }));
    });
}

#[test]
fn whole_links_lose_nothing_and_come_to_an_end() {
    silence();
    let steps = variable("TSM_STEPS").map_or(STEPS, |steps| steps as usize);
    let arguments = "--no-default-features --features driver driver::tests::sim";
    let tally = for_each_seed(SEEDS, arguments, |seed| world::run(seed, steps, BUDGET));
    expect(&tally, &EXPECTED);
    if cfg!(feature = "tls") {
        expect(&tally, &["encrypted", "encrypted, QMux by agreement"]);
    }
}
