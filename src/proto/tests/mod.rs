//! Tests of whole sessions: literal bytes, pairs of sessions under a virtual clock, simulated connections, and what the
//! fuzzer runs.

use crate::proto;

pub mod application;
// What the fuzz targets run is compiled here as well, so that the stable compiler and CI run it.
#[path = "../../../fuzz/bodies/mod.rs"]
mod bodies;
mod bytes;
pub mod choices;
mod codes;
pub mod corpus;
pub mod judge;
pub mod ledger;
mod lobby;
mod network;
pub mod pair;
mod postponed;
mod random;
pub mod seeds;
mod sim;
mod timers;
mod windows;
pub mod world;
