//! The process-wide Tokio runtime: one thread, which all environments share, started with the first use and never
//! ended. More worker threads brought nothing in measurements. A runtime that shuts down with its last user would race
//! the unloading of the library, which is linked `-z nodelete` for the same reason.
//!
//! May not know what runs on it.

use std::io;
use std::sync::Mutex;
use tokio::runtime::{Builder, Handle};

static HANDLE: Mutex<Option<Handle>> = Mutex::new(None);

/// The runtime's handle.
pub fn handle() -> io::Result<Handle> {
    let mut slot = HANDLE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(handle) = &*slot {
        return Ok(handle.clone());
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("mux-io".into())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    *slot = Some(handle.clone());
    Ok(handle)
}
