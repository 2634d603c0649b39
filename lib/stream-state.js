'use strict'

// The states of a stream's halves.
//
// This file may not: know a stream.

// The halves of a stream. On the legacy wire, only the creator of a stream writes.
const READS = 1
const WRITES = 2
const BOTH = 3

// The states of the writing half. From WRITING on, the half takes writes.
const NO_WRITES = 0 // there is no such half
const ENDED = 1
const WRITING = 2
const ANSWERING = 3 // open, on a stream of the peer's, and not used yet
const BLOCKED = 4 // open, but what was written waits for the peer's reader
const MUTED = 5 // open, but the peer wants nothing of it: what is written is dropped

// The states of the reading half.
const UNCLAIMED = 0 // nobody has shown interest yet: data is kept for a while
const CLAIMED = 1
const DROPPING = 2 // nobody will read: only the end is still awaited
const NO_READS = 3 // there is no such half, or the stream is destroyed

// The stages of a stream's life.
const COUNTED = 0 // the stream counts against the connection's limit
const UNCOUNTED = 1 // the stream no longer counts against the limit
const DONE = 2 // native code has closed the stream

// Takes the place of the handle of a stream that has given its handle back. That handle may be another stream's by now,
// and a command that still goes out must not reach that stream. The last bit stays, because it says who opened the
// stream.
const NO_STREAM = 0xfffffffc

function noStream (handle) { return NO_STREAM + (handle & 1) }

module.exports = {
  noStream,
  READS, WRITES, BOTH,
  NO_WRITES, ENDED, WRITING, ANSWERING, BLOCKED, MUTED,
  UNCLAIMED, CLAIMED, DROPPING, NO_READS,
  COUNTED, UNCOUNTED, DONE
}
