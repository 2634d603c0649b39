//! What `poller.rs` offers, on systems that have no set of quiet connections: tasks alone read.

use crate::driver::Engine as Driver;
use napi::{Env, Result, bindgen_prelude::Function};
use std::sync::Arc;

/// Whether there is something to wait with.
pub fn is_possible() -> bool {
    false
}

/// Does nothing.
pub fn start(_env: &Env, _wake: &Function<'_, (), ()>, _driver: &Arc<Driver>) -> Result<()> {
    Ok(())
}
