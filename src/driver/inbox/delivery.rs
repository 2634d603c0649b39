//! The delivery of queued events to the application: bytes into the application's memory, records into an array beside
//! it.
//!
//! Payloads that are close together in a read are copied in one piece, headers between them included, because one long
//! copy costs less than many short ones.
//!
//! May not wait, nor write to memory that was handed out.

use super::lanes::Lanes;
use super::queue::{Batch, Inbox};
use super::record::{Record, work};
use crate::driver::boundary::RECORD_WORDS;
use std::collections::VecDeque;

/// The longest gap between two payloads that is copied with them: a few frame headers.
const GAP: usize = 64;

/// The work handed over in one call if several lanes wait: as much as a full array of records of tiny messages.
/// Whatever comes meanwhile waits behind that, whosever turn it would be.
const CALL: usize = 256 << 10;

/// The work handed over in one call for a connection that is alone: as much as the application does before it lets
/// other I/O run. The answers leave after each call, and more calls would mean as many more sends.
const CALL_ALONE: usize = 1 << 20;

/// Batches that the application has taken from the queue and that were not handed over yet.
#[derive(Debug, Default)]
pub struct Delivery {
    taken: VecDeque<Batch>,
    lanes: Lanes,
}

/// The result of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Filled {
    /// The number of records.
    pub records: usize,
    /// The bytes of the slab that are used.
    pub used: usize,
    /// The bytes that the next record needs, if it did not fit. Zero: nothing is left, or the records are full.
    pub needed: usize,
    /// Whether anything is left.
    pub more: bool,
    /// The number of the lent memory that the payloads are in, instead of the slab, and whether this was the last of
    /// it.
    pub lent: Option<(u32, bool)>,
    /// The work that the records cost the application, as `record::work` counts it.
    pub work: usize,
}

/// The destination of a call.
struct Room<'a> {
    slab: &'a mut [u8],
    /// The offset at which the slab starts for the application.
    base: u32,
    records: &'a mut [[u32; RECORD_WORDS]],
}

impl Delivery {
    /// Fills `slab` and `records`. Offsets in records count from `base`, where the slab starts for the application.
    pub fn fill(
        &mut self,
        events: &Inbox,
        slab: &mut [u8],
        base: u32,
        records: &mut [u32],
    ) -> Filled {
        events.take(&mut self.taken);
        for batch in self.taken.drain(..) {
            self.lanes.push(batch);
        }
        let (records, _) = records.as_chunks_mut();
        let mut room = Room {
            slab,
            base,
            records,
        };
        let mut filled = Filled::default();
        while let Some(turn) = self.lanes.turn() {
            let most = match turn.work {
                usize::MAX => CALL_ALONE.saturating_sub(filled.work),
                work => work.min(CALL.saturating_sub(filled.work)),
            };
            let Some((batch, next)) = self.lanes.at(turn).filter(|_| most > 0) else {
                break;
            };
            let is_lent = batch.lent.is_some();
            // A batch in lent memory has a call of its own.
            if is_lent && filled.records > 0 {
                break;
            }
            let before = filled.work;
            match is_lent {
                true => fill_lent(batch, next, most, &mut room, &mut filled),
                false => fill_slab(batch, next, most, &mut room, &mut filled),
            }
            let is_done = *next == batch.records.len();
            if is_done {
                filled.work += batch.done(usize::MAX);
            }
            self.lanes.worked(turn, filled.work - before);
            if is_done && let Some(batch) = self.lanes.finish(turn) {
                events.delivered(batch);
            }
            if is_lent || filled.needed > 0 || filled.records == room.records.len() {
                break;
            }
        }
        filled.more = !self.lanes.is_empty();
        filled
    }
}

/// The work of a record and its payload.
fn cost(record: &Record) -> usize {
    work(record) + record[3] as usize
}

/// Hands over records whose payloads stay where they are, up to `most` work, and at least one.
fn fill_lent(
    batch: &mut Batch,
    next: &mut usize,
    most: usize,
    room: &mut Room<'_>,
    filled: &mut Filled,
) {
    let mut left = &batch.records[*next..];
    if left.len() > room.records.len() {
        left = &left[..room.records.len()];
    }
    // A batch that may be handed over as a whole need not be counted.
    if batch.work > most {
        let mut sum = 0;
        let is_within = |record: &&Record| {
            let fits = sum < most;
            sum += cost(record);
            fits
        };
        left = &left[..left.iter().take_while(is_within).count()];
    }
    room.records[..left.len()].copy_from_slice(left);
    *next += left.len();
    let is_last = *next == batch.records.len();
    filled.records = left.len();
    filled.used = if is_last { batch.used } else { 0 };
    filled.lent = batch.lent.as_ref().map(|lent| (lent.id, is_last));
    if !is_last {
        filled.work += batch.done(left.iter().map(cost).sum());
    }
}

/// Hands over records with a copy of their payloads, up to `most` work, and at least one.
fn fill_slab(
    batch: &mut Batch,
    next: &mut usize,
    most: usize,
    room: &mut Room<'_>,
    filled: &mut Filled,
) {
    let slab = &mut *room.slab;
    // The piece being put together: its start and end in the batch, and its destination.
    let (mut start, mut end, mut to) = (0, 0, filled.used);
    let mut sum = 0;
    let out = room.records[filled.records..].iter_mut();
    for (record, out) in batch.records[*next..].iter().zip(out) {
        if sum >= most {
            break;
        }
        let &[target, stream, at, length, aux] = record;
        let (at, length) = (at as usize, length as usize);
        let continues = length > 0 && end > start && at >= end && at - end <= GAP;
        let gap = if continues { at - end } else { 0 };
        if gap + length > slab.len() - filled.used {
            filled.needed = length;
            break;
        }
        if length > 0 && !continues {
            slab[to..to + (end - start)].copy_from_slice(&batch.bytes[start..end]);
            (start, end, to) = (at, at, filled.used);
        }
        if length > 0 {
            end = at + length;
            filled.used = to + (end - start);
        }
        *out = [
            target,
            stream,
            room.base + (filled.used - length) as u32,
            length as u32,
            aux,
        ];
        filled.records += 1;
        *next += 1;
        sum += cost(record);
    }
    filled.work += batch.done(sum);
    slab[to..to + (end - start)].copy_from_slice(&batch.bytes[start..end]);
}

#[cfg(test)]
mod tests;
