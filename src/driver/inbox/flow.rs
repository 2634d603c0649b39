//! The flow of one connection: how much of its events was not delivered yet, and what wakes its task.
//!
//! May not know what an event is.

use crate::driver::shared::Undelivered;
use std::sync::Arc;
use tokio::sync::Notify;

/// The work that one connection may have waiting before it stops reading: enough to fill the time that JavaScript
/// spends on one batch, and little enough for a thousand connections at once.
pub const MAX_UNDELIVERED: usize = 1 << 20;

/// The flow of one connection, or of all servers.
#[derive(Debug)]
pub struct Flow {
    /// The lane in which its batches wait for their turn. Connections have lanes of their own; servers share one.
    pub(super) lane: u32,
    undelivered: Undelivered,
    /// Wakes the connection's task.
    pub wake: Notify,
}

impl Flow {
    /// The flow of a connection, by its number.
    pub fn new(connection: u32) -> Self {
        Self::of_lane(connection + 1)
    }

    /// The flow of all servers.
    pub fn of_server() -> Self {
        Self::of_lane(0)
    }

    fn of_lane(lane: u32) -> Self {
        Self {
            lane,
            undelivered: Undelivered::new(MAX_UNDELIVERED),
            wake: Notify::new(),
        }
    }

    /// Returns whether more may be read. If not, the task is noted as waiting, and is woken when that changes.
    pub fn ask_for_room(&self) -> bool {
        self.undelivered.ask_for_room()
    }

    /// Whether the application has seen all events.
    pub fn is_delivered(&self) -> bool {
        self.undelivered.is_none()
    }

    /// Counts work as undelivered.
    pub fn charge(&self, work: usize) {
        self.undelivered.add(work);
    }

    /// Counts work as delivered.
    pub fn deliver(&self, work: usize) {
        if self.undelivered.deliver(work) {
            self.wake.notify_one();
        }
    }
}

/// Work that a flow was charged. The charge ends when this is dropped.
#[derive(Debug)]
pub struct Charge(Arc<Flow>, usize);

impl Charge {
    /// Charges `work` to `flow`.
    pub fn new(flow: Arc<Flow>, work: usize) -> Self {
        flow.charge(work);
        Self(flow, work)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.0.deliver(self.1);
    }
}
