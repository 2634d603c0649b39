//! Waits for quiet connections on the event loop of their JS thread.
//!
//! One libuv handle per environment, on the descriptor of its set; it does not keep the loop alive. Looked up in the
//! running program by name, since neither Node's C API nor a crate offers it: where libuv is missing, tasks alone read.
//!
//! ```text
//!   loop: set readable ──▶ Engine::read_quiet ──▶ wake() ──▶ drain, listeners, answers sent
//! ```
//!
//! May not outlive its environment, nor call anything of it once its cleanup has begun.

use super::signal::report_exception;
use crate::driver::Engine as Driver;
use crate::driver::events::Collector;
use libloading::os::unix::Library;
use napi::{Env, JsValue, Result, bindgen_prelude::Function, check_status, sys};
use std::ffi::{c_int, c_void};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;

/// `UV_POLL` of libuv's `uv_handle_type`, and `UV_READABLE` of `uv_poll_event`: part of its stable interface.
const UV_POLL: c_int = 8;
const UV_READABLE: c_int = 1;

/// A `uv_poll_t`. Its first field is the user's (`uv_handle_t.data`), the rest libuv's.
type UvPoll = *mut c_void;
type OnEvent = unsafe extern "C" fn(UvPoll, c_int, c_int);
type OnClose = unsafe extern "C" fn(UvPoll);

/// The functions of libuv that are used here.
struct Uv {
    poll_init: unsafe extern "C" fn(*mut c_void, UvPoll, c_int) -> c_int,
    poll_start: unsafe extern "C" fn(UvPoll, c_int, OnEvent) -> c_int,
    close: unsafe extern "C" fn(UvPoll, OnClose),
    unref: unsafe extern "C" fn(UvPoll),
    handle_size: unsafe extern "C" fn(c_int) -> usize,
}

impl Uv {
    /// `None` where this program has no libuv to offer.
    fn find() -> Option<Self> {
        let program = Library::this();
        // SAFETY: each name has had the signature given to it in every version of libuv 1.
        unsafe {
            Some(Self {
                poll_init: *program.get(b"uv_poll_init\0").ok()?,
                poll_start: *program.get(b"uv_poll_start\0").ok()?,
                close: *program.get(b"uv_close\0").ok()?,
                unref: *program.get(b"uv_unref\0").ok()?,
                handle_size: *program.get(b"uv_handle_size\0").ok()?,
            })
        }
    }
}

/// What the handle needs. Owned by libuv from `start` on, until the handle has closed.
struct Poller {
    uv: Uv,
    handle: Box<[u64]>,
    driver: Arc<Driver>,
    collector: Collector,
    env: sys::napi_env,
    wake: sys::napi_ref,
    context: sys::napi_async_context,
    hook: sys::napi_async_cleanup_hook_handle,
}

impl Poller {
    fn handle(&mut self) -> UvPoll {
        self.handle.as_mut_ptr().cast()
    }
}

/// Whether there is a libuv to wait with.
pub fn is_possible() -> bool {
    Uv::find().is_some()
}

/// Calls `wake` whenever quiet connections of `driver` have been read, if it has a set of them.
pub fn start(env: &Env, wake: &Function<'_, (), ()>, driver: &Arc<Driver>) -> Result<()> {
    let (Some(uv), Some(set)) = (Uv::find(), &driver.quiet_set) else {
        return Ok(());
    };
    let name = env.create_string("tcp-stream-muxer")?;
    // SAFETY: asks for a number.
    let size = unsafe { (uv.handle_size)(UV_POLL) };
    let mut poller = Box::new(Poller {
        uv,
        handle: vec![0; size.div_ceil(size_of::<u64>())].into(),
        driver: driver.clone(),
        collector: Collector::default(),
        env: env.raw(),
        wake: ptr::null_mut(),
        context: ptr::null_mut(),
        hook: ptr::null_mut(),
    });
    let uv_loop = env.get_uv_event_loop()?;
    // SAFETY: `env`, `wake` and `name` are live values of this call, on the environment's own thread.
    check_status!(unsafe {
        sys::napi_create_reference(env.raw(), wake.raw(), 1, &mut poller.wake)
    })?;
    // SAFETY: as above; no resource is given.
    check_status!(unsafe {
        sys::napi_async_init(env.raw(), ptr::null_mut(), name.raw(), &mut poller.context)
    })?;
    let handle = poller.handle();
    // SAFETY: the memory is of the size that libuv asked for, and the descriptor lives as long as the driver.
    if unsafe { (poller.uv.poll_init)(uv_loop.cast(), handle, set.as_raw_fd()) } != 0 {
        return Err(napi::Error::from_reason("uv_poll_init failed"));
    }
    let poller = Box::into_raw(poller);
    // SAFETY: the handle is initialised, its first field is ours, and what that points to lives until `on_close`.
    unsafe {
        handle.cast::<*mut Poller>().write(poller);
        ((*poller).uv.poll_start)(handle, UV_READABLE, on_event);
        ((*poller).uv.unref)(handle);
    }
    // SAFETY: `poller` lives until its handle has closed, which only this hook brings about.
    check_status!(unsafe {
        sys::napi_add_async_cleanup_hook(
            env.raw(),
            Some(on_cleanup),
            poller.cast(),
            &mut (*poller).hook,
        )
    })
}

unsafe extern "C" fn on_event(handle: UvPoll, _status: c_int, _events: c_int) {
    // SAFETY: `start` put the pointer there, and what it points to lives until `on_close`.
    let poller = unsafe { &mut **handle.cast::<*mut Poller>() };
    let read = catch_unwind(AssertUnwindSafe(|| {
        poller.driver.read_quiet(&mut poller.collector);
    }));
    if read.is_err() {
        // A defect of ours: the connection that it met ends when its task finds it so, the others go on.
        poller.collector = Collector::default();
    }
    let env = poller.env;
    // SAFETY: on the environment's thread, outside any callback; its cleanup has not begun, for that closes the handle.
    unsafe {
        let mut scope = ptr::null_mut();
        if sys::napi_open_handle_scope(env, &mut scope) != sys::Status::napi_ok {
            return;
        }
        let (mut wake, mut this) = (ptr::null_mut(), ptr::null_mut());
        sys::napi_get_reference_value(env, poller.wake, &mut wake);
        sys::napi_get_global(env, &mut this);
        if !wake.is_null() {
            let status = sys::napi_make_callback(
                env,
                poller.context,
                this,
                wake,
                0,
                ptr::null(),
                ptr::null_mut(),
            );
            report_exception(env, status);
        }
        sys::napi_close_handle_scope(env, scope);
    }
}

unsafe extern "C" fn on_cleanup(_hook: sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    // SAFETY: `start` gave the hook its poller, which lives until `on_close`; the environment still does, too.
    unsafe {
        let poller = &mut *data.cast::<Poller>();
        sys::napi_delete_reference(poller.env, poller.wake);
        sys::napi_async_destroy(poller.env, poller.context);
        let handle = poller.handle();
        (poller.uv.close)(handle, on_close);
    }
}

unsafe extern "C" fn on_close(handle: UvPoll) {
    // SAFETY: libuv is done with the handle, so nobody else has its poller; the environment waits for the hook.
    unsafe {
        let poller = Box::from_raw(*handle.cast::<*mut Poller>());
        sys::napi_remove_async_cleanup_hook(poller.hook);
    }
}
