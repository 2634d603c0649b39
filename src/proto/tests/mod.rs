//! Tests of whole sessions: literal bytes, pairs of sessions under a virtual clock, simulated connections, and what the
//! fuzzer runs.

use crate::proto;

mod application;
// What the fuzz targets run is compiled here as well, so that the stable compiler and CI run it.
#[path = "../../../fuzz/bodies/mod.rs"]
mod bodies;
mod bytes;
mod choices;
mod codes;
mod corpus;
mod judge;
mod ledger;
mod lobby;
mod network;
mod pair;
mod postponed;
mod random;
mod sim;
mod timers;
mod windows;
mod world;
