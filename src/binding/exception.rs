//! Exceptions of JavaScript functions that native code called.
//!
//! This file may not swallow one.

use napi::sys;
use std::ptr;

/// Turns the exception that a call ended with, if there is one, into an uncaught exception.
///
/// # Safety
///
/// Must be called on the environment's thread, directly after the call that returned `status`.
pub unsafe fn report_exception(env: sys::napi_env, status: sys::napi_status) {
    if status != sys::Status::napi_pending_exception {
        return;
    }
    let mut exception = ptr::null_mut();
    // SAFETY: the caller's promise, see above.
    unsafe {
        if sys::napi_get_and_clear_last_exception(env, &mut exception) == sys::Status::napi_ok {
            sys::napi_fatal_exception(env, exception);
        }
    }
}
