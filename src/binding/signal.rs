//! Asks a JS thread to come and take its events.
//!
//! One handle for the whole environment. It is weak (it does not keep the event loop alive) unless JavaScript says
//! that something is open. Calling it and closing it exclude each other, so nothing of an environment that has ended is
//! ever called. It is libuv's own where there is one: Node's threadsafe function takes a lock of its own for each
//! call and holds it while it wakes the thread, which then waits for it.
//!
//! May not carry data.

use super::exception::report_exception;
use super::uv::{UV_ASYNC, Uv, UvHandle, behind, open};
use napi::{Env, JsValue, Result, bindgen_prelude::Function, check_status, sys};
use std::ffi::c_void;
use std::ptr;
use std::sync::{Mutex, MutexGuard};

#[derive(Clone, Copy)]
enum Handle {
    Async(&'static Uv, UvHandle),
    Threadsafe(sys::napi_threadsafe_function),
    Closed,
}

// SAFETY: both kinds are documented as callable from any thread until they close; `close` forgets them under the same
// lock that every call holds.
unsafe impl Send for Handle {}

/// The signal of one environment.
pub struct Signal(Mutex<Handle>);

impl Signal {
    /// A signal that calls `wake` on its JS thread, by libuv if that is given.
    pub fn new(env: &Env, wake: &Function<'_, (), ()>, uv: Option<&'static Uv>) -> Result<Self> {
        let handle = match uv {
            Some(uv) => {
                let handle = open(env, wake, uv, UV_ASYNC, (), |uv_loop, handle| {
                    // SAFETY: memory for such a handle.
                    unsafe { (uv.async_init)(uv_loop, handle, on_async) }
                })?;
                Handle::Async(uv, handle)
            }
            None => threadsafe(env, wake)?,
        };
        Ok(Self(Mutex::new(handle)))
    }

    fn handle(&self) -> MutexGuard<'_, Handle> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Asks, from any thread.
    pub fn call(&self) {
        let handle = self.handle();
        // SAFETY: not closed, for that happens under this lock. It fails only when the environment is ending: then
        // nobody is left to tell.
        unsafe {
            match *handle {
                Handle::Async(uv, handle) => {
                    (uv.async_send)(handle);
                }
                Handle::Threadsafe(function) => {
                    sys::napi_call_threadsafe_function(
                        function,
                        ptr::null_mut(),
                        sys::ThreadsafeFunctionCallMode::nonblocking,
                    );
                }
                Handle::Closed => {}
            }
        }
    }

    /// Keeps the event loop alive, or lets it end.
    pub fn set_ref(&self, env: &Env, keep: bool) -> Result<()> {
        // SAFETY: not closed, and called on its own thread.
        unsafe {
            match (*self.handle(), keep) {
                (Handle::Async(uv, handle), true) => (uv.reference)(handle),
                (Handle::Async(uv, handle), false) => (uv.unreference)(handle),
                (Handle::Threadsafe(function), true) => {
                    check_status!(sys::napi_ref_threadsafe_function(env.raw(), function))?;
                }
                (Handle::Threadsafe(function), false) => {
                    check_status!(sys::napi_unref_threadsafe_function(env.raw(), function))?;
                }
                (Handle::Closed, _) => {}
            }
        }
        Ok(())
    }

    /// The environment ends. A handle of libuv's closes itself.
    pub fn close(&self) {
        let mut handle = self.handle();
        if let Handle::Threadsafe(function) = *handle {
            // SAFETY: released once, since it is forgotten; on its own thread, in the cleanup hook.
            unsafe {
                sys::napi_release_threadsafe_function(
                    function,
                    sys::ThreadsafeFunctionReleaseMode::abort,
                )
            };
        }
        *handle = Handle::Closed;
    }
}

unsafe extern "C" fn on_async(handle: UvHandle) {
    // SAFETY: this is the callback of a handle made in `Signal::new`.
    unsafe { behind::<()>(handle).call() }
}

fn threadsafe(env: &Env, wake: &Function<'_, (), ()>) -> Result<Handle> {
    let name = env.create_string("tcp-stream-muxer")?;
    let mut handle = ptr::null_mut();
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
            &mut handle,
        )
    })?;
    // SAFETY: just created, on its own thread.
    check_status!(unsafe { sys::napi_unref_threadsafe_function(env.raw(), handle) })?;
    Ok(Handle::Threadsafe(handle))
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
