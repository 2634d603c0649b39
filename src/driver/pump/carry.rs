//! The pump on JavaScript's thread for a connection over a carrier, which only that thread can use: parses what the carrier
//! delivers, and takes what the carrier is to write.
//!
//! Both happen at once while the task is not in a turn, so no byte passes through another thread. The task has the rest:
//! timers, ends, and what could not be parsed at once.
//!
//! May not wait.

use super::send::Sent;
use crate::driver::boundary::carried as bits;
use crate::driver::carried::{Carried, Taken};
use crate::driver::clock;
use crate::driver::connection::{Connection, Guarded};
use crate::driver::inbox::buffers::{HANDED_OVER, ReadBuffer};
use crate::driver::inbox::collector::Collector;
use crate::driver::io::Io;
use crate::driver::link::ReadPlan;
use std::sync::Arc;

impl Connection {
    /// Takes bytes that the carrier has delivered, and parses them at once if possible. Returns whether the carrier is to be
    /// paused. JavaScript's thread must then take the events without being asked to.
    pub fn deliver(&self, carried: &Carried, bytes: &[u8], collector: &mut Collector) -> bool {
        let Some(mut guarded) = self.try_lock() else {
            return carried.deliver(bytes);
        };
        let mut rest = bytes;
        // The task sees under this lock what was parsed before it reads.
        if carried.is_clear_to_parse() {
            while !rest.is_empty() && self.parse_one(&mut guarded, &mut rest, collector) {}
        }
        let is_paused = !rest.is_empty() && carried.deliver(rest);
        let task_is_needed = guarded.needs_task();
        drop(guarded);
        if task_is_needed {
            self.wake();
        }
        is_paused
    }

    /// Parses as much of `rest` as one read takes. Returns whether there was anything to be done.
    fn parse_one(
        &self,
        guarded: &mut Guarded,
        rest: &mut &[u8],
        collector: &mut Collector,
    ) -> bool {
        let Some(plan) = guarded.link.plan_read() else {
            return false;
        };
        let ReadPlan { at, beyond, most } = plan;
        if guarded.socket.is_none() || !self.flow.ask_for_room() {
            return false;
        }
        let mut buffer: ReadBuffer = match rest.len() < HANDED_OVER || !plan.fits_lent() {
            true => self.inbox.read_buffer().into(),
            false => self.inbox.long_read_buffer(),
        };
        let now = clock::now();
        collector.start(self.id);
        let received = buffer.with(|into, room| {
            let taken = rest.len().min((room + beyond).saturating_sub(at)).min(most);
            into[at..at + taken].copy_from_slice(&rest[..taken]);
            *rest = &rest[taken..];
            self.counters.read.add(taken as u64);
            guarded.link.received(into, at..at + taken, now, collector)
        });
        // Without its memory the application is gone.
        let (result, used) = received.unwrap_or((Ok(false), 0));
        self.answer(guarded, result, now, collector);
        self.inbox.push(&self.flow, collector, Some((buffer, used)));
        true
    }

    /// Takes what the carrier is to write, and lets the link send more in its place.
    pub fn take(
        &self,
        carried: &Arc<Carried>,
        into: &mut [u8],
        collector: &mut Collector,
    ) -> Taken {
        let mut taken = carried.take(into);
        let Some(mut guarded) = self.try_lock() else {
            // What waits behind the task's turn is the task's to send.
            self.wake();
            return taken;
        };
        if guarded.socket.is_none() {
            return taken;
        }
        collector.start(self.id);
        while taken.bytes < into.len() && self.send_more(&mut guarded, carried, collector) {
            let more = carried.take(&mut into[taken.bytes..]);
            taken.bytes += more.bytes;
            taken.bits |= more.bits;
        }
        // Without room nobody has asked the link, which may have more.
        if taken.bytes > 0 && taken.bytes == into.len() {
            taken.bits |= bits::MORE;
        }
        self.tell_drained(&guarded.link, collector);
        let task_is_needed = guarded.needs_task();
        self.let_go(guarded, task_is_needed, collector);
        taken
    }

    /// Sends what waits. Returns whether anything was sent. The link is asked in any case: bytes that had no room in the
    /// outbox are encoded by being asked for.
    fn send_more(
        &self,
        guarded: &mut Guarded,
        carried: &Arc<Carried>,
        collector: &mut Collector,
    ) -> bool {
        let before = self.counters.written.get();
        let link = &mut guarded.link;
        self.absorb(link, collector);
        if !link.life().writes() {
            return false;
        }
        let now = clock::now();
        if let Err(failure) = link.act_on_deadline(now, || carried.unsent()) {
            link.fail(failure);
            return false;
        }
        let is_clear = match link.take_held() {
            Some(held) => self.send_now(link, &**carried, held, collector) == Sent::All,
            None => true,
        };
        if is_clear {
            self.send_while_clear(link, &**carried, now, collector);
        }
        self.counters.written.get() > before
    }
}
