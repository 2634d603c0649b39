'use strict'

// The states of a stream's halves.
//
// This file may not: know a stream.

// What a stream has. On the legacy wire only its creator writes.
const READS = 1
const WRITES = 2
const BOTH = 3

// The writing half. From WRITING on it takes writes.
const NO_WRITES = 0 // there is none
const ENDED = 1
const WRITING = 2
const ANSWERING = 3 // open, on a stream of the peer's, and not used yet
const BLOCKED = 4 // open, and what was written waits for the peer's reader
const MUTED = 5 // open, and the peer wants nothing of it: what is written is dropped

// The reading half.
const UNCLAIMED = 0 // nobody has shown interest yet: data is kept for a while
const CLAIMED = 1
const DROPPING = 2 // nobody will read it: only the end is still awaited
const NO_READS = 3 // there is none, or the stream is destroyed

// How far a stream has come.
const COUNTED = 0 // against the connection's limit
const UNCOUNTED = 1 // ended, as far as the limit is concerned
const DONE = 2 // native code is done with it

// What stands in for the handle of a stream that has given its own back, which may be another stream's by now: no
// command that still goes out for it meets anybody. The last bit stays: it says who opened the stream.
const NO_STREAM = 0xfffffffc

function noStream (handle) { return NO_STREAM + (handle & 1) }

module.exports = {
  noStream,
  READS, WRITES, BOTH,
  NO_WRITES, ENDED, WRITING, ANSWERING, BLOCKED, MUTED,
  UNCLAIMED, CLAIMED, DROPPING, NO_READS,
  COUNTED, UNCOUNTED, DONE
}
