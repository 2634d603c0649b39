//! `Engine`, the one class that JavaScript sees: everything of one JS thread.
//!
//! May not decide, and may not keep a reference into shared memory beyond a call.

use super::carrier::Carrier;
use super::poller;
use super::signal::Signal;
use super::slab::{Gate, Slab};
use super::uv::Uv;
use crate::driver::boundary::{Summary, peer_number};
use crate::driver::inbox::buffers::Lent;
use crate::driver::{
    Collector, Connection, Delivery, Engine as Driver, Inbox, ReadSet, Refusal, Stop, TlsError,
    Verdict,
};
use crate::proto::Handle;
use napi::bindgen_prelude::{Either, Function, Uint8Array, Uint8ArraySlice, Uint32Array};
use napi::{Env, Error, Result};
use napi_derive::napi;
use serde::de::DeserializeOwned;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Change in the native queues' size at which V8 is told: often enough for its heuristics, too seldom to cost.
const EXTERNAL_STEP: i64 = 1 << 20;

/// Growth outside its heap that makes V8 begin to collect: it does from 64 MiB on (kExternalAllocationSoftLimit).
const COLLECTING_STEP: i64 = 65 << 20;

/// The version of the addon, for `lib/binding.js` to compare with the package's.
#[napi]
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Everything of one JS thread.
#[napi]
pub struct Engine {
    pub(super) driver: Arc<Driver>,
    signal: Arc<Signal>,
    commands: Uint8Array,
    records: Uint32Array,
    results: Uint32Array,
    delivery: Delivery,
    collector: Collector,
    external: i64,
    gate: Gate,
}

/// What a connection has counted.
#[napi(object, object_from_js = false)]
pub struct Stats {
    /// Bytes read.
    pub read: f64,
    /// Bytes written, those queued included.
    pub written: f64,
    /// Bytes queued.
    pub queued: f64,
    /// What the peer is.
    pub peer: u32,
}

/// Options from their JSON text. What does not fit is a mismatch of the addon and its JavaScript.
pub(super) fn parse<T: DeserializeOwned>(options: &str) -> Result<T, String> {
    let error = |error: serde_json::Error| Error::new("InvalidArg".to_owned(), error.to_string());
    serde_json::from_str(options).map_err(error)
}

/// A system error as the negative number that libuv uses.
fn negative(error: &io::Error) -> i32 {
    crate::driver::errno(error)
}

/// A number, or the negative one of a system error. Options that cannot be used are an exception with a code.
pub(super) fn number_or(result: io::Result<u32>) -> Result<i32, String> {
    match result {
        Ok(number) => Ok(number as i32),
        Err(error) => tls_error(&error).map_or_else(|| Ok(negative(&error)), Err),
    }
}

/// The exception for options that cannot be used.
pub(super) fn tls_error(error: &io::Error) -> Option<Error<String>> {
    let TlsError { code, message } = error.get_ref()?.downcast_ref()?;
    Some(Error::new((*code).to_owned(), message.clone()))
}

#[napi]
impl Engine {
    /// `commands`, `records` and `results` are memory shared with JavaScript; `wake` is called when there are events.
    /// `libuv` says that this thread's event loop is libuv's own.
    #[napi(constructor, catch_unwind)]
    pub fn new(
        env: Env,
        commands: Uint8Array,
        records: Uint32Array,
        results: Uint32Array,
        wake: Function<'_, (), ()>,
        libuv: bool,
    ) -> Result<Self> {
        let uv = Uv::find().filter(|_| libuv);
        let signal = Arc::new(Signal::new(&env, &wake)?);
        let signalled = signal.clone();
        let inbox = Arc::new(Inbox::new(move || signalled.call()));
        let read_set = uv.and_then(|_| ReadSet::new().ok());
        let driver = Driver::new(inbox, read_set.map(Arc::new));
        if let Some(uv) = uv {
            poller::start(&env, &wake, uv, &driver)?;
        }
        // Registered after the handles, hence run before they close.
        let gate = Gate::default();
        let ending = (signal.clone(), driver.clone(), gate.clone());
        env.add_env_cleanup_hook(ending, |(signal, driver, gate)| {
            signal.close();
            driver.close();
            gate.close();
        })?;
        Ok(Self {
            driver,
            signal,
            commands,
            records,
            results,
            delivery: Delivery::default(),
            collector: Collector::default(),
            external: 0,
            gate,
        })
    }

    /// Executes the first `length` bytes of `commands`. Fills `results` with pairs (connection, bytes queued) and
    /// gives how many.
    #[napi(catch_unwind)]
    pub fn flush(&mut self, env: Env, length: u32) -> Result<u32> {
        let mut count = 0;
        let Some(commands) = self.commands.get(..length as usize) else {
            return Ok(0);
        };
        // SAFETY: JavaScript touches this memory on this thread only, hence not during this call.
        let results = unsafe { self.results.as_mut() };
        let mut pairs = results.chunks_exact_mut(2);
        self.driver
            .submit(commands, &mut self.collector, |connection, queued| {
                if let Some(pair) = pairs.next() {
                    pair.copy_from_slice(&[connection, u32::try_from(queued).unwrap_or(u32::MAX)]);
                    count += 1;
                }
            });
        self.report_external(&env)?;
        Ok(count)
    }

    /// Sends one long message, past `commands`: what stands there must have been flushed. Returns the bytes queued.
    #[napi(catch_unwind)]
    pub fn write(
        &mut self,
        env: Env,
        connection: u32,
        stream: u32,
        payload: Uint8ArraySlice<'_>,
    ) -> Result<u32> {
        let Some(connection) = self.driver.env.connection(connection) else {
            return Ok(0);
        };
        let queued = connection.submit_data(Handle(stream), &payload, &mut self.collector);
        self.report_external(&env)?;
        Ok(u32::try_from(queued).unwrap_or(u32::MAX))
    }

    /// Copies events into `slab` from `offset` on, and their records into `records`. Returns how many.
    #[napi(catch_unwind)]
    pub fn drain(&mut self, env: Env, mut slab: Uint8ArraySlice<'_>, offset: u32) -> Result<u32> {
        // SAFETY: JavaScript touches this memory on this thread only, hence not during this call.
        let words = unsafe { self.records.as_mut() };
        let Some(split) = words.len().checked_sub(Summary::WORDS) else {
            return Ok(0);
        };
        let (records, behind) = words.split_at_mut(split);
        // SAFETY: fresh memory that JavaScript has handed nothing out of from `offset` on.
        let Some(slab) = unsafe { slab.as_mut() }.get_mut(offset as usize..) else {
            return Ok(0);
        };
        let filled = self
            .delivery
            .fill(&self.driver.env.inbox, slab, offset, records);
        let (lent, is_last) = filled.lent.map_or((0, false), |lent| (lent.0 + 1, lent.1));
        let summary = Summary {
            used: filled.used as u32,
            needed: filled.needed as u32,
            more: filled.more.into(),
            lent,
            last: is_last.into(),
            short: self.driver.env.inbox.take_lent_short().into(),
            work: u32::try_from(filled.work).unwrap_or(u32::MAX),
        };
        behind.copy_from_slice(&summary.words());
        self.report_external(&env)?;
        Ok(filled.records as u32)
    }

    /// Lends a slab for long reads, under a number. JavaScript keeps it, and does not touch it before a drain says that
    /// it holds records.
    #[napi(catch_unwind)]
    pub fn lend(&self, number: u32, mut slab: Uint8ArraySlice<'_>) {
        // SAFETY: nobody has seen this memory; a `Slab` accesses it only while its environment keeps it.
        let bytes = unsafe { slab.as_mut() };
        let slab = Slab::new(bytes, self.gate.clone());
        self.driver.env.inbox.lend(Lent::new(number, slab));
    }

    /// Makes a connection over a stream of JavaScript's, by the JSON text of its options. JavaScript knows the carrier by
    /// its number. Returns a negative error number if there is no room for the connection.
    #[napi(catch_unwind)]
    pub fn carry(&self, carrier: u32, options: String) -> Result<Either<Carrier, i32>, String> {
        match self.driver.carry(carrier, parse(&options)?) {
            Ok((connection, carried)) => Ok(Either::A(Carrier::new(connection, carried))),
            Err(error) => number_or(Err(error)).map(Either::B),
        }
    }

    /// Starts connecting, by the JSON text of its options. Returns the connection's number, or a negative error number.
    #[napi(catch_unwind)]
    pub fn connect(&self, options: String) -> Result<i32, String> {
        number_or(self.driver.connect(parse(&options)?))
    }

    /// Makes a server, by the JSON text of its options, which mostly listens somewhere. Returns the server's number, or a
    /// negative error number.
    #[napi(catch_unwind)]
    pub fn listen(&self, options: String) -> Result<i32, String> {
        number_or(self.driver.listen(parse(&options)?))
    }

    /// Makes a connection of a connected socket, by its descriptor, the bytes that were read of it, and the JSON
    /// text of its options. Returns the connection's number, or a negative error number.
    #[napi(catch_unwind)]
    pub fn adopt(
        &self,
        options: String,
        descriptor: i32,
        ahead: Uint8ArraySlice<'_>,
    ) -> Result<i32, String> {
        let options = parse(&options)?;
        number_or(self.driver.adopt(options, descriptor, ahead.to_vec()))
    }

    /// Lets a server receive a connected socket, by its descriptor and the bytes that were read of it. Returns zero or a
    /// negative error number.
    #[napi(catch_unwind)]
    pub fn receive(&self, server: u32, descriptor: i32, ahead: Uint8ArraySlice<'_>) -> i32 {
        let received = self.driver.receive(server, descriptor, ahead.to_vec());
        received.map_or_else(|error| negative(&error), |()| 0)
    }

    /// Where a server listens, as JSON.
    #[napi(catch_unwind)]
    pub fn server_address(&self, server: u32) -> Option<String> {
        self.driver
            .server_address(server)
            .map(|address| address.to_json())
    }

    /// Stops a server listening.
    #[napi(catch_unwind)]
    pub fn close_server(&self, server: u32) {
        self.driver.close_server(server);
    }

    /// JavaScript has seen that a server has closed.
    #[napi(catch_unwind)]
    pub fn release_server(&self, server: u32) {
        self.driver.release_server(server);
    }

    /// Lets a connection in that a server asked about. With `asks`, and if the connection is to be encrypted, a record
    /// SERVERNAME asks for the context of the name that the client wants, and `choose` answers.
    #[napi(catch_unwind)]
    pub fn admit(&self, connection: u32, asks: bool) {
        self.driver.decide(connection, Verdict::Admit { asks });
    }

    /// Does not let a connection in, whether a server asks about it or has told of it already, and tells the peer why by a
    /// code: of the application, or of QUIC.
    #[napi(catch_unwind)]
    pub fn refuse(&self, connection: u32, code: f64, application: bool, reason: String) {
        let refusal = Refusal {
            code: code as u64,
            application,
            reason,
        };
        self.driver.decide(connection, Verdict::Refuse(refusal));
    }

    /// Closes a connection's socket and drops what is queued.
    #[napi(catch_unwind)]
    pub fn destroy(&self, connection: u32, reset: bool) {
        if let Some(connection) = self.driver.env.connection(connection) {
            connection.stop(if reset { Stop::Reset } else { Stop::Close });
        }
    }

    /// JavaScript has seen that a connection has closed.
    #[napi(catch_unwind)]
    pub fn release(&self, connection: u32) {
        self.driver.env.release(connection);
    }

    /// Turns Nagle's algorithm off or on. Returns zero or a negative error number.
    #[napi(catch_unwind)]
    pub fn set_no_delay(&self, connection: u32, no_delay: bool) -> i32 {
        self.with_connection(connection, |connection| {
            connection.with_socket(|socket| socket.set_no_delay(no_delay))
        })
    }

    /// Turns TCP keep-alive on or off; the delay is in milliseconds. Returns zero or a negative error number.
    #[napi(catch_unwind)]
    pub fn set_keep_alive(&self, connection: u32, enable: bool, delay: u32) -> i32 {
        let delay = Duration::from_millis(delay.into());
        self.with_connection(connection, |connection| {
            connection.with_socket(|socket| socket.set_keep_alive(enable, delay))
        })
    }

    /// What a connection has counted.
    #[napi(catch_unwind)]
    pub fn stats(&self, connection: u32) -> Option<Stats> {
        let totals = self.driver.env.connection(connection)?.totals();
        Some(Stats {
            read: totals.read as f64,
            written: totals.written as f64,
            queued: totals.queued as f64,
            peer: peer_number(totals.peer),
        })
    }

    /// Bytes that a connection has queued.
    #[napi(catch_unwind)]
    pub fn queued_bytes(&self, connection: u32) -> u32 {
        let connection = self.driver.env.connection(connection);
        connection.map_or(0, |connection| {
            u32::try_from(connection.queued_or_want_few()).unwrap_or(u32::MAX)
        })
    }

    /// Bytes that wait on a stream for the peer's reader.
    #[napi(catch_unwind)]
    pub fn waiting_bytes(&self, connection: u32, stream: u32) -> f64 {
        let connection = self.driver.env.connection(connection);
        connection.map_or(0.0, |connection| {
            connection.waiting_on(Handle(stream)) as f64
        })
    }

    /// How often `BLOCKED` was, or is about to be, recorded of a connection's streams.
    #[napi(catch_unwind)]
    pub fn blocked_events(&self, connection: u32) -> u32 {
        let connection = self.driver.env.connection(connection);
        connection.map_or(0, |connection| connection.counters.blocked_events())
    }

    /// Keeps the event loop alive, or lets it end.
    #[napi(catch_unwind)]
    pub fn set_ref(&self, env: Env, keep: bool) -> Result<()> {
        self.signal.set_ref(&env, keep)
    }

    /// The thread exits, and the whole process with it if `is_last`: sends what is queued, as far as the kernel takes it at
    /// once.
    #[napi(catch_unwind)]
    pub fn exit_flush(&self, is_last: bool) {
        self.driver.flush_at_exit(is_last);
    }

    /// Makes V8 begin to collect garbage: it does when what it is told of memory outside its heap has grown by enough.
    #[napi(catch_unwind)]
    pub fn suggest_collection(&self, env: Env) -> Result<()> {
        env.adjust_external_memory(COLLECTING_STEP)?;
        env.adjust_external_memory(-COLLECTING_STEP)?;
        Ok(())
    }

    fn with_connection(&self, id: u32, work: impl FnOnce(&Connection) -> io::Result<()>) -> i32 {
        let connection = self.driver.env.connection(id);
        connection.map_or(0, |connection| {
            work(&connection).map_or_else(|error| negative(&error), |()| 0)
        })
    }

    /// Tells V8 what the native queues hold on behalf of JavaScript, so that it collects in time.
    fn report_external(&mut self, env: &Env) -> Result<()> {
        let now = self.driver.env.inbox.held() as i64;
        let change = now - self.external;
        if change.abs() >= EXTERNAL_STEP {
            env.adjust_external_memory(change)?;
            self.external = now;
        }
        Ok(())
    }
}
