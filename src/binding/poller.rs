//! Waits for the sockets that JavaScript's thread reads, on its event loop: one handle per environment, on the descriptor
//! of its set.
//!
//! ```text
//!   loop: set readable ──▶ Engine::read_ready ──▶ wake() ──▶ drain, listeners, answers sent
//! ```
//!
//! May not decide who reads.

use super::uv::{UV_POLL, UV_READABLE, Uv, UvHandle, behind, open};
use crate::driver::Collector;
use crate::driver::Engine as Driver;
use napi::{Env, Result, bindgen_prelude::Function};
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

struct Reader {
    driver: Arc<Driver>,
    collector: Collector,
}

/// Calls `wake` whenever connections of `driver` have been read, if it has a set of them.
pub fn start(
    env: &Env,
    wake: &Function<'_, (), ()>,
    uv: &'static Uv,
    driver: &Arc<Driver>,
) -> Result<()> {
    let Some(set) = &driver.env.read_set else {
        return Ok(());
    };
    let reader = Reader {
        driver: driver.clone(),
        collector: Collector::default(),
    };
    let handle = open(env, wake, uv, UV_POLL, reader, |uv_loop, handle| {
        // SAFETY: memory for such a handle, and a descriptor that the reader behind it keeps open.
        unsafe { (uv.poll_init)(uv_loop, handle, set.descriptor()) }
    })?;
    // SAFETY: initialised just now.
    match unsafe { (uv.poll_start)(handle, UV_READABLE, on_readable) } {
        0 => Ok(()),
        // Connections that are given to this thread would never be read.
        error => Err(napi::Error::from_reason(format!(
            "libuv does not poll: {error}"
        ))),
    }
}

unsafe extern "C" fn on_readable(handle: UvHandle, _status: c_int, _events: c_int) {
    // SAFETY: this is the callback of a handle made in `start`.
    unsafe {
        let behind = behind::<Reader>(handle);
        let Reader { driver, collector } = &mut behind.data;
        let read = catch_unwind(AssertUnwindSafe(|| driver.read_ready(collector)));
        if read.is_err() {
            // A defect of ours: what it left of its connection goes back to the task, the others go on.
            *collector = Collector::default();
            driver.take_reading_back();
        }
        // Not if all that is readable is with its task just now.
        if read.unwrap_or(true) {
            behind.call();
        }
    }
}
