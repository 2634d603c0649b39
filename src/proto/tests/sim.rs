//! Whole connections over a simulated transport, one for each seed: no loss, no duplication, no reordering, no deadlock,
//! no window exceeded, no event that does not belong.
//!
//! `TSM_SEEDS=100000` runs more of them, `TSM_STEPS=1000` longer ones, and `TSM_SEED=17` the one that a failure named.

use super::choices::Choices;
use super::world::{self, Tally};
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Connections in an ordinary run of the tests.
const SEEDS: u64 = 3000;

/// Most steps of a connection before it is wound up.
const STEPS: usize = 300;

/// Payload that each application writes at most.
const BUDGET: usize = 400_000;

/// One connection takes milliseconds; one that takes so long never ends.
const SLOWEST: Duration = Duration::from_secs(60);

/// What has to happen in them.
const EXPECTED: [&str; 18] = [
    "stream",
    "opened",
    "data",
    "end",
    "end with value",
    "closed",
    "mark",
    "peer",
    "reset",
    "stopped",
    "refused",
    "go-away",
    "go-away of a stream",
    "blocked",
    "unblocked",
    "credit",
    "credit of the connection",
    "pong",
];

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seeds() -> Range<u64> {
    match variable("TSM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..variable("TSM_SEEDS").unwrap_or(SEEDS),
    }
}

/// Runs `each` for every seed, on all processors, and names those that fail. Returns what happened in all of them.
fn for_each_seed(name: &str, each: impl Fn(u64) -> Tally + Sync) -> Tally {
    let seeds = seeds();
    let next = AtomicU64::new(seeds.start);
    let failed = AtomicU64::new(0);
    let sum = Mutex::new(Tally::new());
    let started = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let under_way = Mutex::new(BTreeMap::new());
    let done = AtomicU64::new(0);
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        // A few failures show what they have in common; more only hide it.
        if seed >= seeds.end || failed.load(Ordering::Relaxed) >= 3 {
            done.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let lock = || under_way.lock().expect("no one panics with it");
        lock().insert(seed, Instant::now());
        let result = catch_unwind(AssertUnwindSafe(|| each(seed)));
        lock().remove(&seed);
        match result {
            Ok(tally) => {
                let mut sum = sum.lock().expect("no one panics with it");
                for (kind, count) in tally {
                    *sum.entry(kind).or_default() += count;
                }
            }
            Err(_) => {
                failed.fetch_add(1, Ordering::Relaxed);
                eprintln!("failed: TSM_SEED={seed} cargo test --no-default-features {name}");
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
        while done.load(Ordering::Relaxed) < threads as u64 {
            std::thread::sleep(Duration::from_millis(20));
            let under_way = under_way.lock().expect("no one panics with it");
            for (seed, since) in &*under_way {
                if since.elapsed() > SLOWEST {
                    eprintln!("TSM_SEED={seed} takes for ever");
                    // Nothing else ends a thread that hangs.
                    std::process::abort();
                }
            }
        }
    });
    let failed = failed.into_inner();
    assert_eq!(failed, 0, "{failed} seeds failed, each named above");
    println!(
        "{} seeds in {:?}",
        seeds.end - seeds.start,
        started.elapsed()
    );
    sum.into_inner().expect("no one panics with it")
}

#[test]
fn whole_connections_lose_nothing_and_come_to_an_end() {
    let steps = variable("TSM_STEPS").map_or(STEPS, |steps| steps as usize);
    let tally = for_each_seed("whole_connections", |seed| {
        world::run(&mut Choices::Seed(seed), steps, BUDGET)
    });
    println!("{tally:#?}");
    // A simulation in which something never happens checks nothing about it.
    if variable("TSM_SEED").is_none() {
        for kind in EXPECTED {
            assert!(tally.get(kind) >= Some(&20), "too little: {kind}");
        }
    }
}

#[test]
fn ends_that_do_not_fit_tell_each_other() {
    for seed in 0..200 {
        world::run_misfit(&mut Choices::Seed(seed));
    }
}
