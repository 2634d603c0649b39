//! Exceptions of JavaScript that native code called.
//!
//! May not swallow one.

use napi::sys;
use std::ptr;

/// Makes the exception that a call ended with, if it did, an uncaught one.
///
/// # Safety
///
/// On the environment's thread, right behind the call that gave `status`.
pub unsafe fn report_exception(env: sys::napi_env, status: sys::napi_status) {
    if status != sys::Status::napi_pending_exception {
        return;
    }
    let mut exception = ptr::null_mut();
    // SAFETY: as the caller promises.
    unsafe {
        if sys::napi_get_and_clear_last_exception(env, &mut exception) == sys::Status::napi_ok {
            sys::napi_fatal_exception(env, exception);
        }
    }
}
