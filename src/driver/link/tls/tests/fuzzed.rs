//! What the fuzz target runs, over the inputs that are kept and over a few random ones, for the stable compiler and CI.

use crate::driver;
use crate::proto::tests::choices::Choices;
use crate::proto::tests::corpus::each_kept;

#[path = "../../../../../fuzz/bodies/tls.rs"]
mod body;

#[test]
fn no_change_on_the_way_makes_an_end_panic_or_believe_it() {
    each_kept("tls", body::tls);
    let seconds = std::env::var("TSM_TLS_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let until = std::time::Instant::now() + std::time::Duration::from_secs(seconds.unwrap_or(0));
    for seed in 0.. {
        if seed >= 200 && std::time::Instant::now() >= until {
            println!("{seed} inputs");
            break;
        }
        let mut choices = Choices::Seed(seed);
        let length = choices.below(60);
        let input: Vec<u8> = (0..length)
            .map(|_| match choices.once_in(3) {
                // Most flights pass as they are, so that others are reached.
                true => choices.below(256) as u8,
                false => 7,
            })
            .collect();
        body::tls(&input);
    }
}
