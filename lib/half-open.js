'use strict'

// The rule by which a half that its program has not ended ends by itself, and what becomes of an answer that comes too
// late.
//
//   the peer's half ended, the program saw it ──▶ is it due? ──yes──▶ it ends, behind the ticks of the listeners
//                                                   │ no
//                                                   └──▶ considered again when the opener says that it reads no answer
//                                                        (UNREAD), when a listener's promise settles, when
//                                                        the program cannot reach the stream (unreachable.js)
//
// An opener on this end says UNREAD if nobody has begun to read the other half when its own half has finished.
// docs/API.md, "Half-open streams", has the rule in words.
//
// This file may not: end a half that the program may still use, as far as can be known.

const { types } = require('node:util')
const { op } = require('./boundary')
const context = require('./context')
const { callerError } = require('./errors')
const { isWatched } = require('./node-buffer')
const { BOTH, MUTED, UNCLAIMED } = require('./stream-state')
const { warnOnce } = require('./warnings')

// Bits of the field `_halfOpen` of a stream, which this file owns.
const END_SEEN = 1 // the program has seen the peer's end, or did not ask for it
const STAYS_OPEN = 2 // allowHalfOpen was true when the peer's end came
const UNREAD = 4 // the opener reads no answer
const SERVED = 8 // the unit of a count in the higher bits: of promises of listeners that serve the stream

// The time for which a half or data is kept for a program that may be looking something up: a half that nobody has used
// while nobody ever listened (whoever threw the data away has most likely nothing to say); and, after the end of the
// connection, data that nobody has asked for.
const PATIENCE = 2000 // ms

function isEndSeen (stream) { return (stream._halfOpen & END_SEEN) !== 0 }

function isOpen (stream) { return stream._writer.isOpen && !stream.destroyed }

// Whether a listener is attached that can react to what comes on the stream.
function isListenedTo (stream) {
  return stream.listenerCount('end') > 0 || stream.listenerCount('data') > 0 || stream.listenerCount('readable') > 0
}

function isAsync (listener) { return types.isAsyncFunction(listener) }

// Whether a listener may still be at work after the event that it was called for.
function mayBeServed (stream) {
  return isServed(stream) || stream.listeners('data').some(isAsync) || stream.listeners('end').some(isAsync)
}

// Whether the program answers in its 'data' listeners and nowhere else. If so, nothing follows the last of them.
function isEcho (stream) {
  return stream._writer.isEcho && stream.listenerCount('data') > 0 && stream.listenerCount('readable') === 0 &&
    !mayBeServed(stream)
}

function isDue (stream) {
  // The connection carries no answer any more.
  if (!stream._connection._link.canSend()) return true
  // A source that is piped into the stream ends the stream itself.
  return (stream._halfOpen & STAYS_OPEN) === 0 && isUnneeded(stream) && stream.listenerCount('unpipe') === 0
}

function isUnneeded (stream) {
  if (stream._isOurs() || stream._writer.state === MUTED) return true
  if (stream._writer.isUsed) return isEcho(stream)
  // A peer that cannot say whether it reads an answer gets an end at once, unless an answer is seen to be under way.
  return (stream._halfOpen & UNREAD) !== 0 || (!stream._connection._wires.hearsUnread && !mayBeServed(stream))
}

/** The program has seen the peer's end, or will never ask for it: our half may end, too. */
function peerEndSeen (stream) {
  if (!isEndSeen(stream)) {
    stream._halfOpen |= stream.allowHalfOpen ? END_SEEN | STAYS_OPEN : END_SEEN
    // Node would end our half without regard to who uses it.
    stream.allowHalfOpen = true
  }
  consider(stream)
}

/** Whether our half is open only because its program may still use it. */
function awaitsProgram (stream) {
  return isEndSeen(stream) && isOpen(stream) && !stream._writer.isUsed && !isServed(stream) &&
    (stream._halfOpen & STAYS_OPEN) === 0 && stream._unheard === null
}

/** Something has changed that the end of our half may depend on. */
function consider (stream) {
  if (!isEndSeen(stream) || !isOpen(stream)) return
  if (isDue(stream)) return void process.nextTick(endIfDue, stream)
  stream._connection._streams.sweep.start()
  if (wasThrownAway(stream)) context.later(PATIENCE, lostPatience, stream)
}

function wasThrownAway (stream) {
  return !stream._reader.isHeeded && stream._reader.state !== UNCLAIMED && awaitsProgram(stream)
}

function lostPatience (stream) { if (wasThrownAway(stream)) endByItself(stream) }

function endIfDue (stream) {
  if (isOpen(stream) && isDue(stream)) endByItself(stream)
}

function endByItself (stream) {
  stream._writer.noteCutOff()
  // The peer destroyed its stream, so what was written for its reader is lost. A stream that somebody watches closes
  // without a 'finish'.
  if (stream._writer.state === MUTED && isWatched(stream)) return void stream._retire()
  const isHeard = stream.listenerCount('finish') + stream.listenerCount('prefinish') > 0
  const isPlain = stream.end === Object.getPrototypeOf(stream).end
  // Node takes several ticks to end a half that was never used. If nobody sees them, they are saved.
  if (!stream._writer.isUsed && stream.readableEnded && !isHeard && isPlain) stream._writer.closeUnused()
  else stream.end()
}

/** The opener of a stream of the peer's reads no answer. */
function onUnread (stream) {
  stream._halfOpen |= UNREAD
  consider(stream)
}

/**
 * The program answers although its half has ended by itself, or the peer has given the stream up. Neither is the
 * program's fault, so the error is not uncaught, but the program is told. @returns {boolean} false
 */
function tooLate (stream, done) {
  const isConnected = stream._connection._link.canSend()
  const { lost } = stream._writer
  const error = lost || callerError(isConnected ? 'ERR_MUX_ANSWER_LOST' : 'ERR_MUX_CONNECTION_CLOSED')
  if (done !== undefined) process.nextTick(context.bind(done), error)
  if (lost !== undefined) return false
  if (isConnected) warnOnce('MUX_ANSWER_LOST')
  if (!stream.destroyed) {
    stream._isErrorOptional = true
    stream.destroy(error)
  }
  return false
}

/** Whether the promise of a listener serves the stream. */
function isServed (stream) { return stream._halfOpen >= SERVED }

/**
 * Counts a promise that serves a stream: the stream is in use until the promise settles. @returns a promise in its
 * place
 */
function serve (stream, promise) {
  stream._halfOpen += SERVED
  const settled = () => {
    stream._halfOpen -= SERVED
    if (!isServed(stream)) stream._served()
  }
  return promise.then((value) => {
    settled()
    return value
  }, (error) => {
    settled()
    throw error
  })
}

// ---- the opener ----

// The streams of this end whose half has finished in this turn while nobody read the other half.
let finished = []

/** The half of a stream that this end opened has finished. */
function openerFinished (stream) {
  if (isAwaitingAnswer(stream) || !stream._connection._wires.hearsUnread) return
  // A program that begins to read after 'finish', or after promises that wait for it, has begun by then.
  if (finished.length === 0) setImmediate(tellUnread)
  finished.push(stream)
}

// Whether an answer may still be read: somebody reads, or will, or nothing more is to come.
function isAwaitingAnswer (stream) {
  const reader = stream._reader
  if (stream._halves !== BOTH || !stream._isOurs() || reader.hasEnded) return true
  if (reader.state === UNCLAIMED) {
    return reader.early !== null || (stream.listenerCount('end') > 0 && stream.listeners('end').some(takesValue))
  }
  // resume() without a listener drops what comes.
  return stream.readableFlowing !== true || isListenedTo(stream)
}

// A listener of 'end' with a parameter waits for an end value, which is an answer.
function takesValue (listener) { return listener.length > 0 }

function tellUnread () {
  const streams = finished
  finished = []
  for (const stream of streams) {
    const { _connection: { _link: link }, _nativeHandle: handle } = stream
    if (!stream.destroyed && !isAwaitingAnswer(stream)) link.command(op.UNREAD, handle, 0)
  }
}

module.exports = {
  PATIENCE, awaitsProgram, consider, isServed, onUnread, openerFinished, peerEndSeen, serve, tooLate
}
