//! `Carrier`: a stream of JavaScript's that carries a connection, as JavaScript feeds it and writes what it takes.
//!
//! May not decide, and may not keep a reference into JavaScript's memory beyond a call.

use crate::driver::{Carried, Collector, Connection};
use napi::Result;
use napi::bindgen_prelude::Uint8ArraySlice;
use napi_derive::napi;
use std::sync::Arc;

/// The bits of a carrier stand above the length of what was taken.
const BITS_AT: u32 = 24;

/// A carrier with its connection.
#[napi]
pub struct Carrier {
    connection: Arc<Connection>,
    carried: Arc<Carried>,
    collector: Collector,
}

#[napi]
impl Carrier {
    pub(super) fn new(connection: Arc<Connection>, carried: Arc<Carried>) -> Self {
        Self {
            connection,
            carried,
            collector: Collector::default(),
        }
    }

    /// The connection's number, until it has closed.
    #[napi(catch_unwind)]
    pub fn number(&self) -> u32 {
        self.connection.id
    }

    /// Takes bytes that the carrier has delivered. Returns whether the carrier is to be paused. JavaScript then drains
    /// without being asked to.
    #[napi(catch_unwind)]
    pub fn deliver(&mut self, bytes: Uint8ArraySlice<'_>) -> bool {
        self.connection
            .deliver(&self.carried, &bytes, &mut self.collector)
    }

    /// The carrier has ended.
    #[napi(catch_unwind)]
    pub fn end(&self) {
        self.carried.deliver_end();
    }

    /// The carrier has failed.
    #[napi(catch_unwind)]
    pub fn fail(&self) {
        self.carried.fail();
    }

    /// Fills `buffer` from `offset` on with what is to be written to the carrier. Returns the length, and above it the
    /// bits that say what else is to be done.
    #[napi(catch_unwind)]
    pub fn take(&mut self, mut buffer: Uint8ArraySlice<'_>, offset: u32) -> Result<u32> {
        // SAFETY: fresh memory of JavaScript's, which has handed nothing out of it from `offset` on.
        let bytes = unsafe { buffer.as_mut() };
        let room = bytes.get_mut(offset as usize..).unwrap_or_default();
        let most = room.len().min((1 << BITS_AT) - 1);
        let taken = self
            .connection
            .take(&self.carried, &mut room[..most], &mut self.collector);
        Ok(taken.bits << BITS_AT | taken.bytes as u32)
    }
}
