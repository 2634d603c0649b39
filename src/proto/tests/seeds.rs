//! Runs a simulation once for each seed.
//!
//! `TSM_SEEDS=100000` runs more of them, and `TSM_SEED=17` the one that a failure named.

use super::world::Tally;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One connection takes milliseconds; one that takes so long never ends.
const SLOWEST: Duration = Duration::from_secs(60);

pub fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seeds(ordinary: u64) -> Range<u64> {
    match variable("TSM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..variable("TSM_SEEDS").unwrap_or(ordinary),
    }
}

/// Runs `each` for every seed, of which an ordinary run has so many, on all processors. Names those that fail, by the
/// arguments that run them again. Returns what happened in all of them.
pub fn for_each_seed(ordinary: u64, arguments: &str, each: impl Fn(u64) -> Tally + Sync) -> Tally {
    let seeds = seeds(ordinary);
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
        if seed >= seeds.end || failed.load(Ordering::Relaxed) >= variable("TSM_FAILS").unwrap_or(3)
        {
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
                eprintln!("failed: TSM_SEED={seed} cargo test {arguments}");
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

/// What happens in every simulation of two applications.
pub const EVENTS: [&str; 17] = [
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
    "blocked",
    "unblocked",
    "credit",
    "credit of the connection",
    "pong",
];

/// A simulation in which something never happens checks nothing about it: of [`EVENTS`], and of `kinds` besides.
pub fn expect(tally: &Tally, kinds: &[&'static str]) {
    println!("{tally:#?}");
    if variable("TSM_SEED").is_none() {
        for kind in EVENTS.iter().chain(kinds) {
            assert!(tally.get(kind) >= Some(&20), "too little: {kind}");
        }
    }
}
