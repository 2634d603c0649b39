//! The queue of events on their way to the application: batches of records with the bytes that they refer to.
//!
//! Small reads of one connection are copied behind each other into one batch. A large read is handed over with its
//! buffer, which comes back when the batch has been delivered. The connections bound the queue: each stops reading
//! while more than [`MAX_UNDELIVERED`] of its work waits here. The order in which connections are delivered is decided
//! behind this queue (`lanes`).
//!
//! May not know what an event means to the application.

use super::buffers::{Buffers, HANDED_OVER, Lent, ReadBuffer, SPARE};
use super::collector::Collector;
use super::flow::{Charge, Flow, MAX_UNDELIVERED};
use super::record::{COPIED, EXTRA, Record, work};
use crate::driver::lock::{Guard, Lock, Rank};
use crate::driver::shared::{Asked, Counter};
use std::collections::VecDeque;
use std::sync::Arc;

/// The work of a batch of its own for a small read, if its neighbours in the queue are of other connections: some 100
/// ns, and as many bytes of memory.
const BATCH: usize = 256;

/// The number of batches kept for reuse: one for each of this many connections that have something waiting.
const SPARE_BATCHES: usize = 64;

/// The bytes that each of them keeps, except for the first [`SPARE`].
const SPARE_BYTES: usize = 4 << 10;

/// Records, with the bytes that they refer to.
#[derive(Debug, Default)]
pub struct Batch {
    /// The memory that the offsets of records refer to. It may be longer than what is used of it.
    pub bytes: Vec<u8>,
    /// The application's memory, in place of `bytes`.
    pub lent: Option<Lent>,
    /// The records, in order.
    pub records: Vec<Record>,
    /// The number of bytes that are used.
    pub used: usize,
    /// The lane that the batch waits in.
    pub lane: u32,
    /// The part of the batch's work that has not been done yet.
    pub work: usize,
    /// The flow of its connection, and the work that the flow was charged for it.
    flow: Option<(Arc<Flow>, usize)>,
    /// The charge of another flow that ends when the batch is delivered.
    charge: Option<Charge>,
    /// The bytes that the batch counts for.
    held: usize,
    handed_over: bool,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    spare: Vec<Batch>,
    buffers: Buffers,
}

/// The queue of one environment.
pub struct Inbox {
    state: Lock<State>,
    asked: Asked,
    /// The bytes that this queue holds, and the queues of its connections towards their sockets.
    held: Counter,
    signal: Box<dyn Fn() + Send + Sync>,
}

impl Inbox {
    /// `signal` asks JavaScript's thread to come and take. It is called only if no earlier call is still unanswered.
    pub fn new(signal: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            state: Lock::new(Rank::Inbox, State::default()),
            asked: Asked::new(),
            held: Counter::new(),
            signal: Box::new(signal),
        }
    }

    /// The lock is held for a push or a take only, never over a system call.
    fn state(&self) -> Guard<'_, State> {
        self.state.lock()
    }

    /// A buffer to read into.
    pub fn read_buffer(&self) -> Vec<u8> {
        let spare = self.state().buffers.pop_own();
        spare.unwrap_or_else(Buffers::new_own)
    }

    /// A buffer for a read that is likely to be long.
    pub fn long_read_buffer(&self) -> ReadBuffer {
        let lent = self.state().buffers.pop_lent();
        lent.map_or_else(|| self.read_buffer().into(), ReadBuffer::Lent)
    }

    /// Takes back a buffer that nothing was read into.
    pub fn return_buffer(&self, buffer: impl Into<ReadBuffer>) {
        self.state().buffers.push(buffer.into());
    }

    /// Adds memory that JavaScript lends for long reads.
    pub fn lend(&self, lent: Lent) {
        self.return_buffer(ReadBuffer::Lent(lent));
    }

    /// Returns whether a long read has found no lent memory since the last call.
    pub fn take_lent_short(&self) -> bool {
        self.state().buffers.take_lent_short()
    }

    /// Queues what `collected` holds, and empties it, without asking anybody to come for it (see [`Inbox::notify`]).
    /// `read` is the buffer that its offsets refer to, and how many bytes of it were filled.
    pub fn push(
        &self,
        flow: &Arc<Flow>,
        collected: &mut Collector,
        read: Option<(ReadBuffer, usize)>,
    ) {
        if collected.records.is_empty() {
            if let Some((buffer, _)) = read {
                self.return_buffer(buffer);
            }
            return;
        }
        let (mut buffer, filled, lent) = self.separate(collected, read);
        let held = filled + collected.extra.len() + size_of_val(&collected.records[..]);
        let records = collected.records.iter();
        let work = filled + collected.extra.len() + records.map(work).sum::<usize>();
        flow.charge(work);
        let charge = collected.charge.take();
        self.held.add(held as u64);
        let mut state = self.state();
        if filled >= HANDED_OVER {
            let mut batch = state.spare.pop().unwrap_or_default();
            if !collected.extra.is_empty() {
                if lent.is_none() {
                    let end = filled + collected.extra.len();
                    if buffer.len() < end {
                        buffer.resize(end, 0);
                    }
                    buffer[filled..end].copy_from_slice(&collected.extra);
                }
                for [_, _, start, _, _] in &mut collected.records {
                    if *start & EXTRA != 0 {
                        *start = (*start & !EXTRA) + filled as u32;
                    }
                }
            }
            // The copy's memory is not needed, because the batch has the read's.
            batch.bytes = buffer;
            batch.lent = lent;
            batch.used = filled + collected.extra.len();
            batch.handed_over = true;
            // The offsets are right as they are, so the two lists of records are swapped.
            std::mem::swap(&mut batch.records, &mut collected.records);
            batch.start(flow);
            batch.count(work, held, charge);
            state.batches.push_back(batch);
        } else {
            let room = |batch: &Batch| {
                !batch.handed_over
                    && batch.is_of(flow)
                    && batch.used + filled + collected.extra.len() <= COPIED
            };
            if !state.batches.back().is_some_and(room) {
                let mut batch = state.spare.pop().unwrap_or_default();
                batch.start(flow);
                flow.charge(BATCH);
                batch.count(BATCH, 0, None);
                state.batches.push_back(batch);
            }
            if let Some(batch) = state.batches.back_mut() {
                let base = batch.used;
                batch.bytes.extend_from_slice(&buffer[..filled]);
                batch.bytes.extend_from_slice(&collected.extra);
                batch.used = batch.bytes.len();
                batch.add(&collected.records, base, base + filled);
                batch.count(work, held, charge);
            }
            if !buffer.is_empty() {
                state.buffers.push(buffer.into());
            }
        }
        drop(state);
        // A collector that is used on must not pass these records on again.
        collected.clear();
    }

    /// The memory for a batch: a buffer of ours with the number of bytes filled, or lent memory to which all has been
    /// written.
    fn separate(
        &self,
        collected: &Collector,
        read: Option<(ReadBuffer, usize)>,
    ) -> (Vec<u8>, usize, Option<Lent>) {
        let (mut lent, filled) = match read {
            None => return (Vec::new(), 0, None),
            Some((ReadBuffer::Own(bytes), filled)) => return (bytes, filled, None),
            Some((ReadBuffer::Lent(lent), filled)) => (lent, filled),
        };
        if filled >= HANDED_OVER && lent.append(filled, &collected.extra) {
            return (Vec::new(), filled, Some(lent));
        }
        // The lent memory is too much for so little, or too short for a long text.
        let mut bytes = self.read_buffer();
        let mut lent = ReadBuffer::Lent(lent);
        let copied = lent.with(|lent, _| bytes[..filled].copy_from_slice(&lent[..filled]));
        self.return_buffer(lent);
        match copied {
            Some(()) => (bytes, filled, None),
            // The application is gone.
            None => (bytes, 0, None),
        }
    }

    /// The bytes held natively on behalf of the application.
    pub fn held(&self) -> u64 {
        self.held.get()
    }

    /// Adds to the bytes that the application's connections hold. A negative `change` wraps.
    pub fn add_held(&self, change: u64) {
        self.held.add(change);
    }

    /// Asks JavaScript's thread to come, if something is queued and no earlier request is unanswered.
    pub fn notify(&self) {
        let is_empty = self.state().batches.is_empty();
        if !is_empty && self.asked.ask() {
            (self.signal)();
        }
    }

    /// Moves all that is queued to `into`. Batches that are queued later are asked for anew.
    pub fn take(&self, into: &mut VecDeque<Batch>) {
        self.asked.answer();
        into.append(&mut self.state().batches);
    }

    /// A batch has been delivered: its connection may read on, and its memory is reused.
    pub fn delivered(&self, mut batch: Batch) {
        if let Some((flow, work)) = batch.flow.take() {
            flow.deliver(work);
        }
        batch.charge = None;
        let held = std::mem::take(&mut batch.held) as u64;
        self.held.add(held.wrapping_neg());
        batch.records.clear();
        batch.lent = None;
        let mut state = self.state();
        let bytes = std::mem::take(&mut batch.bytes);
        if batch.handed_over {
            state.buffers.push(bytes.into());
        } else if bytes.capacity() <= 2 * COPIED {
            batch.bytes = bytes;
            batch.bytes.clear();
        }
        batch.used = 0;
        batch.handed_over = false;
        if state.spare.len() >= SPARE {
            batch.bytes.shrink_to(SPARE_BYTES);
            batch.records.shrink_to(SPARE_BYTES / size_of::<Record>());
        }
        if state.spare.len() < SPARE_BATCHES
            && batch.records.capacity() <= MAX_UNDELIVERED / size_of::<Record>()
        {
            state.spare.push(batch);
        }
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

impl Batch {
    fn start(&mut self, flow: &Arc<Flow>) {
        self.lane = flow.lane;
        self.flow = Some((flow.clone(), 0));
    }

    fn is_of(&self, flow: &Arc<Flow>) -> bool {
        self.flow
            .as_ref()
            .is_some_and(|(own, _)| Arc::ptr_eq(own, flow))
    }

    fn count(&mut self, work: usize, held: usize, charge: Option<Charge>) {
        self.work += work;
        self.held += held;
        if let Some((_, charged)) = &mut self.flow {
            *charged += work;
        }
        // Only the first records of a connection have such a charge, and those are in one batch.
        self.charge = charge.or(self.charge.take());
    }

    /// Counts work of the batch as done, as far as any is left. Returns how much that was.
    pub fn done(&mut self, work: usize) -> usize {
        let done = work.min(self.work);
        self.work -= done;
        done
    }

    fn add(&mut self, records: &[Record], base: usize, extra_at: usize) {
        self.records
            .extend(records.iter().map(|&[target, stream, start, length, aux]| {
                let start = match start & EXTRA {
                    0 => start + base as u32,
                    _ => (start & !EXTRA) + extra_at as u32,
                };
                [target, stream, start, length, aux]
            }));
    }
}
