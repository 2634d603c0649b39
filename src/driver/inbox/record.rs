//! Records: how an event is laid out for JavaScript, and what it costs that thread.
//!
//! May not know what an event means to the application.

use crate::driver::boundary::{RECORD_WORDS, kind, split_word};

/// Which kind and whose, stream, offset, length, aux.
pub type Record = [u32; RECORD_WORDS];

/// What a record of data costs beside its payload. Work is counted in bytes, of which JavaScript takes some 2 in a
/// nanosecond when they come in messages of 64: those cost it 56 ns each (docs/ARCHITECTURE.md), and count for 128.
const RECORD: usize = 64;

/// What the application has an object for, with its listeners, its ticks and its share of the garbage collector's work: a
/// stream that opens and ends takes 4 µs, and one that is reset as long again (measured by benchmark/attack).
const OBJECT: usize = 8 << 10;

/// A connection that comes or goes is an object of many parts, and a descriptor: some 15 µs.
const CONNECTION: usize = 32 << 10;

/// What a byte of a JSON text costs beside being there: 8 ns, to parse it and to collect what became of it.
const PARSED: usize = 15;

/// What a record costs JavaScript beside the bytes of its payload. The one number for how much may wait, whose turn it
/// is, and when the application's thread lets other I/O run.
pub fn work(record: &Record) -> usize {
    let parsed = PARSED * record[3] as usize;
    match split_word(record[0]).0 {
        kind::STREAM => OBJECT + parsed,
        kind::JSON => RECORD + parsed,
        kind::RESET | kind::STOPPED | kind::REFUSED => OBJECT,
        kind::CONNECTION | kind::CONN_CLOSE => CONNECTION,
        _ => RECORD,
    }
}

/// Marks an offset into `extra`, until the batch is put together.
pub const EXTRA: u32 = 1 << 31;
