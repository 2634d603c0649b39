//! Handles on the libuv loop of a JavaScript thread, for which Node's C API has no function.
//!
//! The functions of libuv are looked up by name in the running program. A handle lives from `open` until its
//! environment ends. The environment's cleanup closes the handle, and waits until it is closed.
//!
//! ```text
//!   open ──▶ unref'd, calls back on its thread ──environment's cleanup──▶ closing ──▶ closed, memory freed
//! ```
//!
//! This file may not know what a handle is for.

use super::exception::report_exception;
use crate::sys::symbol;
use napi::{Env, JsValue, Result, bindgen_prelude::Function, check_status, sys};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

/// Values of `uv_handle_type` and `uv_poll_event`, which are part of libuv's stable interface.
pub const UV_POLL: c_int = 8;
pub const UV_READABLE: c_int = 1;

/// A `uv_handle_t` of some type. Its first field is the user's; the others are libuv's.
pub type UvHandle = *mut c_void;

/// The functions of libuv that this package uses.
pub struct Uv {
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    close: unsafe extern "C" fn(UvHandle, unsafe extern "C" fn(UvHandle)),
    unreference: unsafe extern "C" fn(UvHandle),
    pub poll_init: unsafe extern "C" fn(*mut c_void, UvHandle, c_int) -> c_int,
    pub poll_start: unsafe extern "C" fn(UvHandle, c_int, PollCallback) -> c_int,
}

/// A `uv_poll_cb`.
pub type PollCallback = unsafe extern "C" fn(UvHandle, c_int, c_int);

impl Uv {
    /// Returns `None` if the program has not all of these functions.
    pub fn find() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<Uv>> = OnceLock::new();
        FOUND
            .get_or_init(|| {
                // SAFETY: every version of libuv 1 has each function with this signature.
                unsafe {
                    Some(Self {
                        handle_size: symbol(c"uv_handle_size")?,
                        close: symbol(c"uv_close")?,
                        unreference: symbol(c"uv_unref")?,
                        poll_init: symbol(c"uv_poll_init")?,
                        poll_start: symbol(c"uv_poll_start")?,
                    })
                }
            })
            .as_ref()
    }
}

/// A JavaScript function that native code calls from the event loop.
struct Callee {
    env: sys::napi_env,
    function: sys::napi_ref,
    context: sys::napi_async_context,
}

impl Callee {
    fn new(env: &Env, function: &Function<'_, (), ()>) -> Result<Self> {
        let name = env.create_string("tcp-stream-muxer")?;
        let mut callee = Self {
            env: env.raw(),
            function: ptr::null_mut(),
            context: ptr::null_mut(),
        };
        // SAFETY: the values live for this call, on the environment's own thread, and no resource is passed.
        unsafe {
            check_status!(sys::napi_create_reference(
                env.raw(),
                function.raw(),
                1,
                &mut callee.function
            ))?;
            check_status!(sys::napi_async_init(
                env.raw(),
                ptr::null_mut(),
                name.raw(),
                &mut callee.context
            ))?;
        }
        Ok(callee)
    }

    /// # Safety
    ///
    /// Must be called on the environment's thread, outside any other callback, and before the environment's cleanup.
    unsafe fn call(&self) {
        let env = self.env;
        // SAFETY: the caller's promise, see above.
        unsafe {
            let mut scope = ptr::null_mut();
            if sys::napi_open_handle_scope(env, &mut scope) != sys::Status::napi_ok {
                return;
            }
            let (mut function, mut this) = (ptr::null_mut(), ptr::null_mut());
            sys::napi_get_reference_value(env, self.function, &mut function);
            sys::napi_get_global(env, &mut this);
            if !function.is_null() {
                let status = sys::napi_make_callback(
                    env,
                    self.context,
                    this,
                    function,
                    0,
                    ptr::null(),
                    ptr::null_mut(),
                );
                report_exception(env, status);
            }
            sys::napi_close_handle_scope(env, scope);
        }
    }
}

/// The data behind a handle. libuv owns it until the handle has closed.
pub struct Behind<T> {
    /// The data of the handle's callback.
    pub data: T,
    callee: Callee,
    memory: Box<[u64]>,
    hook: sys::napi_async_cleanup_hook_handle,
}

impl<T> Behind<T> {
    /// Calls the JavaScript function.
    ///
    /// # Safety
    ///
    /// Must be called from the handle's callback only.
    pub unsafe fn call(&self) {
        // SAFETY: libuv calls back on the environment's thread, from its loop, and never once the handle is closing.
        unsafe { self.callee.call() }
    }
}

/// Returns what stands behind a handle that [`open`] made with the same `T`.
///
/// # Safety
///
/// Must be called in the handle's callback only. The reference must not outlive the callback.
pub unsafe fn behind<'a, T>(handle: UvHandle) -> &'a mut Behind<T> {
    // SAFETY: `open` put the pointer there, and what it points to lives until the handle has closed.
    unsafe { &mut **handle.cast::<*mut Behind<T>>() }
}

/// Opens a handle that does not keep the loop alive. `init` calls libuv's function for the type of handle, with the
/// loop. The handle's callback may call `function`.
pub fn open<T>(
    env: &Env,
    function: &Function<'_, (), ()>,
    uv: &'static Uv,
    kind: c_int,
    data: T,
    init: impl FnOnce(*mut c_void, UvHandle) -> c_int,
) -> Result<UvHandle> {
    // SAFETY: the function only returns a number.
    let size = unsafe { (uv.handle_size)(kind) };
    let uv_loop = env.get_uv_event_loop()?;
    let mut behind = Box::new(Behind {
        data,
        callee: Callee::new(env, function)?,
        memory: vec![0; size.div_ceil(size_of::<u64>())].into(),
        hook: ptr::null_mut(),
    });
    let handle: UvHandle = behind.memory.as_mut_ptr().cast();
    if init(uv_loop.cast(), handle) != 0 {
        return Err(napi::Error::from_reason("libuv refuses a handle"));
    }
    let behind = Box::into_raw(behind);
    // SAFETY: the handle is initialised, and its first field is ours. `Behind` lives until `on_close`, which only the
    // cleanup hook brings about.
    unsafe {
        handle.cast::<*mut Behind<T>>().write(behind);
        (uv.unreference)(handle);
        check_status!(sys::napi_add_async_cleanup_hook(
            env.raw(),
            Some(on_cleanup::<T>),
            handle,
            &mut (*behind).hook,
        ))?;
    }
    Ok(handle)
}

unsafe extern "C" fn on_cleanup<T>(
    _hook: sys::napi_async_cleanup_hook_handle,
    handle: *mut c_void,
) {
    let Some(uv) = Uv::find() else { return };
    // SAFETY: the environment still lives, and `Behind` lives until `on_close`.
    unsafe {
        let callee = &behind::<T>(handle).callee;
        sys::napi_delete_reference(callee.env, callee.function);
        sys::napi_async_destroy(callee.env, callee.context);
        (uv.close)(handle, on_close::<T>);
    }
}

unsafe extern "C" fn on_close<T>(handle: UvHandle) {
    // SAFETY: libuv is done with the handle, and the environment waits for its hook.
    unsafe {
        let behind = Box::from_raw(*handle.cast::<*mut Behind<T>>());
        sys::napi_remove_async_cleanup_hook(behind.hook);
    }
}
