'use strict'

// The pump between this JavaScript thread and the native engine: commands go out once per turn, and records come in, in
// batches.
//
// This file may not: know what a stream, a client or a server is (it calls what was registered under a number), emit an
// event, or write into bytes of a slab that were handed out.

const { isMainThread, markAsUntransferable } = require('node:worker_threads')
const { Engine } = require('./binding')
const {
  COMMAND_HEADER: HEAD, NUMBER_BITS, NUMBER_MASK, RECORD_WORDS, SUMMARY_WORDS, kind: kinds, op, summary
} = require('./boundary')
const carriers = require('./carriers')
const { root } = require('./context')
const { MAX_JSON } = require('./options')

const FastBuffer = Buffer[Symbol.species]

const DATA_WORD = op.DATA << NUMBER_BITS // of connection 0

const MAX_DATA = 65536 // payload of one DATA command: the boundary's limit
// A write of so many bytes is a native call and a send of its own: a copy of them costs more. Shorter writes of a turn
// leave in one send, which wins more than the copy costs: half as much again with 16 KiB.
const LONG = 65536
// A flush within write() comes after this many bytes. Bytes that are written and read again soon after are still in the
// processor's second-level cache, and the native side starts sending while JavaScript goes on.
const FLUSH_AT = 256 * 1024
// The buffer takes the longest JSON text in one piece. Pages that were never touched cost nothing.
const CAPACITY = MAX_JSON + FLUSH_AT

const MAX_RECORDS = 4096
const SUMMARY = RECORD_WORDS * MAX_RECORDS // the place of the words that sum up a drain, behind the records

// The length of a slab, and so of the longest piece of data. A program may keep one small message of each MiB that it
// receives: 1,000 such messages then pin 1,000 slabs of this length. Longer slabs (up to 1 MiB) were no faster, with
// messages of 64 bytes or of 64 KiB.
const SLAB = 64 * 1024

// The number of slabs lent to the native side after the first long read: half as many again as one connection may have
// undelivered, because some are being read into or cut. A lent slab takes one read (the longest message and 64 bytes of
// the next one) and the longest message that the session puts together.
const LENT = 24
const LENT_SLAB = 80 * 1024 + 64

const MIN_ROOM = 1024 // a slab with less room left is not worth another drain

// The work between two turns of other I/O: half a millisecond of it. Native code counts the work of what comes in
// (src/driver/inbox/record.rs). What goes out counts for its bytes, and for a system call per connection.
const WORK_LIMIT = 1024 * 1024
const SEND_WORK = 16 * 1024

// The answers to the first EARLY records of a batch leave at once, and again after four times as many records. Waking
// the other end takes as long as hundreds of messages, and the other end can work meanwhile.
const EARLY = 8

// Whether this program's event loop is libuv. The loops of Bun and Deno have only some of libuv's functions.
const LIBUV = process.versions.bun === undefined && process.versions.deno === undefined

let native = null
let commands = null
let words = null
let records = null
let results = null

let at = 0 // bytes of encoded commands
let scheduled = false // a flush is scheduled, or the pump is about to flush

let slab = null
let room = 0 // bytes of the slab that were not handed out
let needed = 0 // bytes that the next record takes, if it did not fit
const lent = [] // slabs that long reads go into, by their number
let source = null // the memory of the batch: the slab, or a lent one
let memory = null // the ArrayBuffer of `source`
let cursor = 0
let count = 0
let emptied = false // the last batch emptied the queue, and no wake-up came since
let lastWord = 0 // kind and connection of the last DATA record
let lastHandle = 0
let lastStream = null

let pumping = false
let waking = false // the next tick will start the pump
let resting = false // an immediate will go on with the pump
let work = 0
let sends = 0 // connections that this pump has sent to
let references = 0

const connections = [] // by number
const servers = []
const draining = new Set() // connections whose queue fell below its low-water mark
const late = new Map() // connection: bytes queued, which the connection has not been told yet

function untransferable (array) {
  // Transferring one Buffer would empty its neighbours, and the engine's own arrays.
  markAsUntransferable(array.buffer)
  return array
}

/** Starts the engine of this thread, before anything else here is called. All calls but the first do nothing. */
function start () {
  if (native !== null) return
  commands = untransferable(Buffer.allocUnsafeSlow(CAPACITY))
  words = new Uint32Array(commands.buffer)
  records = untransferable(new Uint32Array(SUMMARY + SUMMARY_WORDS))
  // The results have a pair of words for each connection: at most as many as commands of the shortest kind fit.
  results = untransferable(new Uint32Array(2 * (Math.ceil(FLUSH_AT / HEAD) + 2)))
  // The engine starts outside the caller's async context: the first caller's storage would leak into all events.
  native = root.runInAsyncScope(() => new Engine(commands, records, results, wake, LIBUV))
  newSlab(SLAB)
  process.on('exit', onExit)
  process.on('newListener', keepLast)
}

function onExit () {
  flush()
  native.exitFlush(isMainThread)
  // A carrier takes its part of what waits, and makes room for the rest.
  while (carriers.flushAtExit()) native.exitFlush(isMainThread)
}

// What other listeners of 'exit' write has to be flushed, too. A listener that is added moves in front of onExit, unless
// the process exits before the microtasks of that turn.
function keepLast (name, listener) {
  if (name !== 'exit' || listener === onExit) return
  queueMicrotask(() => process.removeListener('exit', onExit).on('exit', onExit))
}

// ---- out ----

/** Whether a batch is being delivered. If so, a write comes from a listener. */
function isDelivering () { return pumping }

function schedule () {
  if (scheduled || pumping) return
  scheduled = true
  process.nextTick(flush)
}

/** Passes all encoded commands to the native side. flush() emits nothing. */
function flush () {
  scheduled = false
  if (late.size > 0) {
    for (const [connection, queued] of late) connection._flushed(queued)
    late.clear()
  }
  if (at === 0) return
  const touched = submit()
  for (let i = 0; i < touched; i++) {
    const connection = connections[results[2 * i]]
    if (connection !== undefined) connection._flushed(results[2 * i + 1])
  }
}

function submit () {
  const length = at
  at = 0
  const touched = native.flush(length)
  // Writers that are woken by one drain after the other keep other I/O waiting, as readers do.
  work += length
  sends += touched
  return touched
}

// Flushes because the buffer is full in the middle of a turn. Connections are told only at the end of the turn what
// they have queued: if the native side sends as fast as it is given, `while (write());` would never end.
function flushFull () {
  const touched = submit()
  for (let i = 0; i < touched; i++) {
    const connection = connections[results[2 * i]]
    if (connection !== undefined) late.set(connection, results[2 * i + 1])
  }
}

// Makes room for `length` more bytes. @returns {number} where they go
function reserve (length) {
  if (at + length > FLUSH_AT) flushFull()
  const start = at
  at = start + length
  if (!scheduled) schedule()
  return start
}

function put (op, connection, handle, argument) {
  const w = reserve(HEAD) >>> 2
  words[w] = op << NUMBER_BITS | connection
  words[w + 1] = handle
  words[w + 2] = argument
}

/** Sends bytes on a stream. The bytes are copied before data() returns. */
function data (connection, handle, bytes) {
  const length = bytes.length
  if (length < LONG) return piece(connection, handle, bytes, length)
  for (let i = 0; i < length; i += MAX_DATA) {
    long(connection, handle, length <= MAX_DATA ? bytes : bytes.subarray(i, i + MAX_DATA))
  }
}

// Sends a long piece by a native call of its own, which copies it once instead of twice.
function long (connection, handle, bytes) {
  if (at > 0) flushFull()
  const queued = native.write(connection, handle, bytes)
  work += bytes.length
  const owner = connections[connection]
  if (owner !== undefined) late.set(owner, queued)
  if (!scheduled) schedule()
}

function piece (connection, handle, bytes, length) {
  const start = reserve(HEAD + (length + 3 & ~3))
  const w = start >>> 2
  words[w] = DATA_WORD | connection
  words[w + 1] = handle
  words[w + 2] = length
  // A call into the runtime costs more than copying a few bytes here.
  if (length < 32) {
    for (let i = 0, p = start + HEAD; i < length; i++) commands[p + i] = bytes[i]
  } else {
    commands.set(bytes, start + HEAD)
  }
}

/** Sends a string on a stream, encoded straight into the commands. @returns {number} its length in bytes */
function string (connection, handle, value, encoding) {
  const most = value.length * 3 // no encoding takes more bytes for a UTF-16 unit
  if (most > MAX_DATA) {
    const bytes = Buffer.from(value, encoding)
    data(connection, handle, bytes)
    return bytes.length
  }
  const start = reserve(HEAD + (most + 3 & ~3))
  const length = commands.write(value, start + HEAD, most, encoding)
  const w = start >>> 2
  words[w] = DATA_WORD | connection
  words[w + 1] = handle
  words[w + 2] = length
  at = start + HEAD + (length + 3 & ~3)
  return length
}

/** Sends a command whose payload is a JSON text of at most MAX_JSON bytes. @returns {number} its length in bytes */
function text (op, connection, handle, json) {
  const length = Buffer.byteLength(json)
  const start = reserve(HEAD + (length + 3 & ~3))
  const w = start >>> 2
  words[w] = op << NUMBER_BITS | connection
  words[w + 1] = handle
  words[w + 2] = length
  commands.write(json, start + HEAD, length, 'utf8')
  return length
}

/** Sends a command whose payload is a code of 64 bits, and perhaps a text behind it. */
function coded (op, connection, handle, code, reason = '') {
  const length = 8 + Buffer.byteLength(reason)
  const start = reserve(HEAD + (length + 3 & ~3))
  const w = start >>> 2
  words[w] = op << NUMBER_BITS | connection
  words[w + 1] = handle
  words[w + 2] = length
  words[w + 3] = code % 2 ** 32
  words[w + 4] = Math.floor(code / 2 ** 32)
  commands.write(reason, start + HEAD + 8, 'utf8')
}

/** Emits 'drain' in a later turn: a writer whose flushes complete at once must not keep other I/O from its turn. */
function drainSoon (connection) {
  if (draining.size === 0) setImmediate(emitDrains)
  draining.add(connection)
}

function emitDrains () {
  const list = [...draining]
  draining.clear()
  let i = 0
  try {
    while (i < list.length) list[i++]._drained()
  } finally {
    // If a listener threw, the other connections get their event in the next turn.
    for (; i < list.length; i++) drainSoon(list[i])
  }
}

// ---- in ----

function newSlab (size) {
  slab = untransferable(Buffer.allocUnsafeSlow(size))
  room = size
}

// Lends a slab to the native side to read into, until a drain returns it.
function lend (number) {
  const fresh = untransferable(Buffer.allocUnsafeSlow(LENT_SLAB))
  lent[number] = fresh
  native.lend(number, fresh)
}

/** Bytes of the current batch, as a Buffer that belongs to the application from now on. */
function cut (offset, length) {
  return new FastBuffer(memory, offset, length)
}

/** Bytes of the current batch, as text. Invalid UTF-8 becomes U+FFFD. */
function textAt (offset, length) {
  return source.utf8Slice(offset, offset + length)
}

/** A line of a key log, as tls emits it. */
function lineAt (offset, length) { return Buffer.from(`${textAt(offset, length)}\n`) }

function wake () {
  emptied = false
  if (!pumping && !resting) pump()
}

/** As if native code had woken this thread, which has just delivered to it. */
function wakeSoon () {
  emptied = false
  if (pumping || resting || waking) return
  waking = true
  process.nextTick(wakeNow)
}

function wakeNow () {
  waking = false
  // The context of whoever delivered would leak into the events.
  if (!pumping && !resting) root.runInAsyncScope(pump)
}

// Lets other I/O run before the pump goes on.
function rest () {
  if (resting) return
  resting = true
  setImmediate(rested)
}

function rested () {
  resting = false
  work = 0
  pump()
}

function pump () {
  pumping = true
  sends = 0
  try {
    while (cursor < count || fetch()) {
      let early = EARLY
      while (cursor < count) {
        deliver(RECORD_WORDS * cursor++)
        if (cursor === early) {
          early *= 4
          flush()
        }
      }
      // The native side must learn what paused streams hold before the next batch is taken. The flush also sends
      // answers early.
      flush()
      if (work + sends * SEND_WORK >= WORK_LIMIT) {
        rest()
        break
      }
    }
  } finally {
    pumping = false
    // If a listener threw, the next turn delivers what it left, and nothing twice.
    if (cursor < count || !emptied) rest()
    flush()
  }
}

// Takes the next batch. @returns {boolean} whether there is one
function fetch () {
  if (emptied) return false // what comes from now on brings a wake-up
  for (;;) {
    // The length is 0 if a program transferred a Buffer that was cut from the slab, which detached the slab as well.
    if (room < needed || room < MIN_ROOM || slab.length === 0) newSlab(Math.max(SLAB, needed))
    cursor = 0
    count = native.drain(slab, slab.length - room)
    const used = records[SUMMARY + summary.USED]
    needed = records[SUMMARY + summary.NEEDED]
    emptied = records[SUMMARY + summary.MORE] === 0
    work += records[SUMMARY + summary.WORK]
    const number = records[SUMMARY + summary.LENT] - 1
    if (number < 0) room = Math.max(0, room - (used + 7 & ~7))
    source = number < 0 ? slab : lent[number]
    memory = source.buffer
    lastWord = 0
    lastStream = null // the engine must not keep a stream alive
    // The bytes in a lent slab belong to the application from now on.
    if (records[SUMMARY + summary.LAST] === 1) lend(number)
    if (records[SUMMARY + summary.SHORT] === 1) {
      while (lent.length < LENT) lend(lent.length)
    }
    if (count > 0) return true
    if (emptied) return false
  }
}

function deliver (i) {
  const word = records[i]
  const handle = records[i + 1]
  if (word === lastWord && handle === lastHandle) {
    lastStream._data(records[i + 2], records[i + 3])
    return
  }
  const number = word & NUMBER_MASK
  const kind = word >>> NUMBER_BITS
  if (kind >= kinds.SERVER_CLOSED) {
    lastWord = 0
    const server = servers[number]
    if (server !== undefined) server._record(kind, records[i + 2], records[i + 3])
    return
  }
  const connection = connections[number]
  if (kind === kinds.DATA) {
    if (connection === undefined) return
    if (connection._idle) connection._idle.refresh()
    const stream = connection._stream(handle)
    if (stream === undefined) return
    lastWord = word
    lastHandle = handle
    lastStream = stream
    stream._data(records[i + 2], records[i + 3])
    return
  }
  // Any other record may end the stream, or reassign its handle.
  lastWord = 0
  if (kind === kinds.CARRIED) return carriers.ask(handle)
  if (connection !== undefined) {
    connection._record(kind, handle, records[i + 2], records[i + 3], records[i + 4])
  } else if (kind === kinds.CONNECTION || kind === kinds.ADMISSION) {
    // The server registers something under a new number, or drops the connection.
    const server = servers[handle]
    if (server === undefined) native.destroy(number, false)
    else server._arrival(kind === kinds.ADMISSION, number, records[i + 2], records[i + 3])
  } else if (kind === kinds.CONN_CLOSE) {
    native.release(number)
  }
}

// ---- life ----

function register (number, connection) {
  connections[number] = connection
}

/** Forgets a closed connection, so that its number may be used again. */
function forget (number) {
  // Commands that still name this connection must not reach the next one of this number.
  flush()
  connections[number] = undefined
  native.release(number)
}

function registerServer (number, server) {
  servers[number] = server
}

function forgetServer (number) {
  servers[number] = undefined
  native.releaseServer(number)
}

/** Adds one more reason for the process to stay alive. */
function ref () {
  if (references++ === 0) native.setRef(true)
}

function unref () {
  if (--references === 0) native.setRef(false)
}

module.exports = {
  coded,
  cut,
  data,
  drainSoon,
  flush,
  forget,
  forgetServer,
  isDelivering,
  put,
  ref,
  register,
  registerServer,
  start,
  string,
  text,
  lineAt,
  textAt,
  unref,
  wakeSoon,
  get native () { return native }
}
