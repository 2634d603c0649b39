//! The bodies of the fuzz targets. Each takes any bytes, and panics only where the engine is wrong.
//!
//! The first two bytes of all but `sessions` are choices: flags, and how the rest is cut into reads.
//!
//! May not use anything of the engine that is not public.

mod input;
mod legacy;
mod negotiation;
mod peer;
mod records;
mod sessions;

use super::{choices, pair, proto, world};

pub use legacy::legacy;
pub use negotiation::negotiation;
pub use records::records;
pub use sessions::sessions;

/// A target.
pub type Body = fn(&[u8]);

/// The targets by name.
pub const TARGETS: [(&str, Body); 4] = [
    ("records", records),
    ("legacy", legacy),
    ("negotiation", negotiation),
    ("sessions", sessions),
];
