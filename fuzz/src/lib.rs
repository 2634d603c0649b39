//! What the fuzz targets run. The bodies, and the simulation that one of them drives, are those of the engine's own
//! tests, which run them over the corpora with the stable compiler. They see no more of the engine than it makes public.
#![forbid(unsafe_code)]

pub use tcp_stream_muxer::{driver, proto};

#[path = "../../src/proto/tests/application.rs"]
pub mod application;
#[path = "../bodies/mod.rs"]
pub mod bodies;
#[path = "../../src/proto/tests/choices.rs"]
pub mod choices;
#[path = "../../src/proto/tests/judge.rs"]
pub mod judge;
#[path = "../../src/proto/tests/ledger.rs"]
pub mod ledger;
#[path = "../../src/proto/tests/network.rs"]
pub mod network;
#[path = "../../src/proto/tests/pair.rs"]
pub mod pair;
#[path = "../bodies/proxy.rs"]
pub mod proxy;
#[path = "../bodies/tls.rs"]
pub mod tls;
#[path = "../../src/proto/tests/world.rs"]
pub mod world;
