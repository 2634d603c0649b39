//! What the fuzz target runs, over the inputs that are kept and over a few random ones, for the stable compiler and CI.

use crate::driver;
use crate::proto::tests::choices::Choices;
use std::fs;
use std::path::Path;

#[path = "../../../../../fuzz/bodies/tls.rs"]
mod body;

#[test]
fn no_change_on_the_way_makes_an_end_panic_or_believe_it() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/tls");
    let mut count = 0;
    for file in fs::read_dir(corpus).expect("a corpus") {
        let path = file.expect("a readable folder").path();
        println!("{}", path.display());
        body::tls(&fs::read(path).expect("a readable file"));
        count += 1;
    }
    assert!(count >= 5, "the corpus is missing");
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
