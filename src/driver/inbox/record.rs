//! Records: the layout of an event for JavaScript, and its cost to that thread.
//!
//! May not know what an event means to the application.

use crate::driver::boundary::{RECORD_WORDS, kind, split_word};

/// The kind and the connection, stream, offset, length, aux.
pub type Record = [u32; RECORD_WORDS];

/// The cost of a record of data beside its payload. Work is counted in bytes, of which JavaScript takes some 2 in a
/// nanosecond if they come in messages of 64: such a message costs it 56 ns (docs/ARCHITECTURE.md), and counts for 128.
const RECORD: usize = 64;

/// The cost of an event for which the application has an object, with its listeners, its ticks and its share of the
/// garbage collector's work. A stream that opens and ends takes 4 µs, and one that is reset as long again (measured by
/// benchmark/attack).
const OBJECT: usize = 8 << 10;

/// The cost of a connection that comes or goes: an object of many parts, and a descriptor, some 15 µs.
const CONNECTION: usize = 32 << 10;

/// The cost of a byte of a JSON text beside being there: 8 ns, to parse it and to collect the garbage of it.
const PARSED: usize = 15;

/// The cost of a record to JavaScript beside the bytes of its payload. It is the one number that decides how much may
/// wait, whose turn it is, and when the application's thread lets other I/O run.
pub fn work(record: &Record) -> usize {
    let parsed = PARSED * record[3] as usize;
    match split_word(record[0]).0 {
        kind::STREAM => OBJECT + parsed,
        kind::JSON => RECORD + parsed,
        kind::RESET | kind::STOPPED | kind::REFUSED => OBJECT,
        kind::ADMISSION | kind::CONNECTION | kind::CONN_CLOSE => CONNECTION,
        _ => RECORD,
    }
}

/// The bit that marks an offset into `extra`, until the batch is put together.
pub const EXTRA: u32 = 1 << 31;

/// The most bytes copied into one batch.
pub const COPIED: usize = 64 << 10;
