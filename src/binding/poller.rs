//! The poller: waits on the event loop for the sockets that JavaScript's thread reads. Each environment has one handle,
//! on the descriptor of its read set.
//!
//! ```text
//!   loop: set readable ──▶ Engine::read_ready ──▶ wake() ──▶ drain, listeners, answers sent
//! ```
//!
//! This file may not decide who reads.

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

/// Calls `wake` whenever connections of `driver` have been read, if the environment has a read set.
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
        // SAFETY: `handle` is memory for such a handle, and the `Reader` behind it keeps the descriptor open.
        unsafe { (uv.poll_init)(uv_loop, handle, set.descriptor()) }
    })?;
    // SAFETY: the handle was initialised just now.
    match unsafe { (uv.poll_start)(handle, UV_READABLE, on_readable) } {
        0 => Ok(()),
        // Connections that are given to this thread would never be read.
        error => Err(napi::Error::from_reason(format!(
            "libuv does not poll: {error}"
        ))),
    }
}

unsafe extern "C" fn on_readable(handle: UvHandle, _status: c_int, _events: c_int) {
    // SAFETY: this is the callback of a handle that `start` opened with a `Reader`.
    unsafe {
        let behind = behind::<Reader>(handle);
        let Reader { driver, collector } = &mut behind.data;
        let read = catch_unwind(AssertUnwindSafe(|| driver.read_ready(collector)));
        if read.is_err() {
            // A defect of ours. The connection at fault ends, and the tasks take the reading of all connections back.
            *collector = Collector::default();
            driver.take_reading_back();
        }
        // JavaScript is not called if the task is at work on every connection that is readable.
        if read.unwrap_or(true) {
            behind.call();
        }
    }
}
