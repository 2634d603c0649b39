//! Asks a JS thread to come and take its events.
//!
//! One threadsafe function for the whole environment. It is weak (it does not keep the event loop alive) unless JavaScript
//! says that something is open. Calling it and closing it exclude each other, so nothing of an environment that has ended
//! is ever called. A handle of libuv's in its place was measured to win nothing.
//!
//! May not carry data.

use super::exception::report_exception;
use napi::{Env, JsValue, Result, bindgen_prelude::Function, check_status, sys};
use std::ffi::c_void;
use std::ptr;
use std::sync::{Mutex, MutexGuard};

/// The function, until it is closed.
#[derive(Clone, Copy)]
struct Handle(Option<sys::napi_threadsafe_function>);

// SAFETY: the function is documented as callable from any thread until it closes; `close` forgets it under the same
// lock that every call holds.
unsafe impl Send for Handle {}

/// The signal of one environment.
pub struct Signal(Mutex<Handle>);

impl Signal {
    /// A signal that calls `wake` on its JS thread.
    pub fn new(env: &Env, wake: &Function<'_, (), ()>) -> Result<Self> {
        let name = env.create_string("tcp-stream-muxer")?;
        let mut function = ptr::null_mut();
        // SAFETY: `env`, `wake` and `name` are live values of this call; no context or finalizer is passed.
        check_status!(unsafe {
            sys::napi_create_threadsafe_function(
                env.raw(),
                wake.raw(),
                ptr::null_mut(),
                name.raw(),
                0,
                1,
                ptr::null_mut(),
                None,
                ptr::null_mut(),
                Some(on_call),
                &mut function,
            )
        })?;
        // SAFETY: just created, on its own thread.
        check_status!(unsafe { sys::napi_unref_threadsafe_function(env.raw(), function) })?;
        Ok(Self(Mutex::new(Handle(Some(function)))))
    }

    fn handle(&self) -> MutexGuard<'_, Handle> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Asks, from any thread.
    pub fn call(&self) {
        let handle = self.handle();
        let Some(function) = handle.0 else { return };
        // SAFETY: not closed, for that happens under this lock. The call fails only when the environment is ending: then
        // nobody is left to tell.
        unsafe {
            sys::napi_call_threadsafe_function(
                function,
                ptr::null_mut(),
                sys::ThreadsafeFunctionCallMode::nonblocking,
            );
        }
    }

    /// Keeps the event loop alive, or lets it end.
    pub fn set_ref(&self, env: &Env, keep: bool) -> Result<()> {
        let Some(function) = self.handle().0 else {
            return Ok(());
        };
        // SAFETY: not closed, and called on its own thread.
        check_status!(unsafe {
            match keep {
                true => sys::napi_ref_threadsafe_function(env.raw(), function),
                false => sys::napi_unref_threadsafe_function(env.raw(), function),
            }
        })
    }

    /// The environment ends.
    pub fn close(&self) {
        if let Some(function) = self.handle().0.take() {
            // SAFETY: released once, since it is forgotten; on its own thread, in the cleanup hook.
            unsafe {
                sys::napi_release_threadsafe_function(
                    function,
                    sys::ThreadsafeFunctionReleaseMode::abort,
                )
            };
        }
    }
}

/// Calls `wake`, as a callback of Node's own.
unsafe extern "C" fn on_call(
    env: sys::napi_env,
    wake: sys::napi_value,
    _context: *mut c_void,
    _data: *mut c_void,
) {
    if env.is_null() || wake.is_null() {
        return;
    }
    // SAFETY: Node calls this on the environment's thread, in a scope of its own, with live values.
    unsafe {
        let mut this = ptr::null_mut();
        sys::napi_get_undefined(env, &mut this);
        let status = sys::napi_call_function(env, this, wake, 0, ptr::null(), ptr::null_mut());
        report_exception(env, status);
    }
}
