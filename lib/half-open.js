'use strict'

// When a half that its program has not ended ends by itself, and what becomes of an answer that comes too late.
//
//   the peer's half ended, the program saw it ──▶ is it due? ──yes──▶ it ends, behind the ticks of the listeners
//                                                   │ no
//                                                   └──▶ looked at again when the opener says that it reads no answer
//                                                        (UNREAD), when a listener's promise settles, when
//                                                        the program cannot reach the stream (unreachable.js)
//
// An opener of ours says UNREAD when its half has finished and nobody has begun to read the other one by then.
// docs/API.md, "Half-open streams", has the rule in words.
//
// This file may not: end a half that the program can still be known to use.

const { types } = require('node:util')
const { op } = require('./boundary')
const context = require('./context')
const { callerError } = require('./errors')
const { isWatched } = require('./node-buffer')
const { BOTH, MUTED, UNCLAIMED } = require('./stream-state')
const { warnOnce } = require('./warnings')

/** What is known of a stream in this matter. Made when there is something to know. */
class HalfOpen {
  constructor () {
    this.isEndSeen = false // the program has seen the peer's end, or did not ask for it
    this.staysOpen = false // allowHalfOpen was true when the peer's end came
    this.isUnread = false // the opener reads no answer
    this.serving = 0 // promises of listeners that serve the stream
  }
}

function knowledgeOf (stream) {
  if (stream._halfOpen === null) stream._halfOpen = new HalfOpen()
  return stream._halfOpen
}

// How long something is kept for a program that may be looking something up: a half that nobody has used while nobody ever
// listened (who only threw the data away has most likely nothing to say), and, behind the end of the connection, what nobody
// has asked for.
const PATIENCE = 2000 // ms

function isEndSeen (stream) { return stream._halfOpen !== null && stream._halfOpen.isEndSeen }

function isOpen (stream) { return stream._writer.isOpen && !stream.destroyed }

// Whether something that can react to the stream is attached to it.
function isListenedTo (stream) {
  return stream.listenerCount('end') > 0 || stream.listenerCount('data') > 0 || stream.listenerCount('readable') > 0
}

function isAsync (listener) { return types.isAsyncFunction(listener) }

// Whether a listener may still be at work behind the last event it was called for.
function mayBeServed (stream) {
  return isServed(stream) || stream.listeners('data').some(isAsync) || stream.listeners('end').some(isAsync)
}

// Whether the program answers in its 'data' listeners and nowhere else: then nothing follows the last of them.
function isEcho (stream) {
  return stream._writer.isEcho && stream.listenerCount('data') > 0 && stream.listenerCount('readable') === 0 &&
    !mayBeServed(stream)
}

function isDue (stream) {
  // Nobody is left to answer.
  if (!stream._connection._link.canSend()) return true
  // Whoever pipes into the stream ends it.
  return !knowledgeOf(stream).staysOpen && isUnneeded(stream) && stream.listenerCount('unpipe') === 0
}

function isUnneeded (stream) {
  if (stream._isOurs() || stream._writer.state === MUTED) return true
  if (stream._writer.isUsed) return isEcho(stream)
  // A peer that cannot say whether it reads an answer gets an end at once, unless one is seen to be under way.
  return knowledgeOf(stream).isUnread || (!stream._connection._wires.hearsUnread && !mayBeServed(stream))
}

/** The peer's half is over, as far as the program will ever know: our own may be, too. */
function peerEndSeen (stream) {
  const known = knowledgeOf(stream)
  if (!known.isEndSeen) {
    known.isEndSeen = true
    known.staysOpen = stream.allowHalfOpen
    // Node would end it without a look at who uses it.
    stream.allowHalfOpen = true
  }
  consider(stream)
}

/** Whether the stream's half is open only because its program may yet use it. */
function awaitsProgram (stream) {
  return isEndSeen(stream) && isOpen(stream) && !stream._writer.isUsed && !isServed(stream) &&
    !stream._halfOpen.staysOpen && stream._unheard === null
}

/** Something has changed that the end of our half may have waited for. */
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
  // What was written for the peer's reader is lost: that is no finish.
  if (stream._writer.state === MUTED && isWatched(stream)) return void stream._retire()
  const isHeard = stream.listenerCount('finish') + stream.listenerCount('prefinish') > 0
  const isPlain = stream.end === Object.getPrototypeOf(stream).end
  // Node's way to the end of a half that was never used takes it several ticks, which nobody sees.
  if (!stream._writer.isUsed && stream.readableEnded && !isHeard && isPlain) stream._writer.closeUnused()
  else stream.end()
}

/** The opener of a stream of the peer's reads no answer. */
function onUnread (stream) {
  knowledgeOf(stream).isUnread = true
  consider(stream)
}

/**
 * The program answers although its half has ended by itself, or was given up by the peer: nothing of that is its fault,
 * so it is no uncaught error, but it is told. @returns {boolean} false
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
function isServed (stream) { return stream._halfOpen !== null && stream._halfOpen.serving > 0 }

/** Follows a promise that serves a stream: until it settles, the stream is in use. @returns a promise for it */
function serve (stream, promise) {
  const known = knowledgeOf(stream)
  known.serving++
  const settled = () => {
    if (--known.serving === 0) stream._served()
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

// The streams whose half has finished in this turn, while nobody reads what the peer might say.
let finished = []

/** Our half of a stream of ours has finished. */
function openerFinished (stream) {
  if (isAwaitingAnswer(stream) || !stream._connection._wires.hearsUnread) return
  // Who reads next, behind 'finish' and the promises that wait for it, has begun by then.
  if (finished.length === 0) setImmediate(tellUnread)
  finished.push(stream)
}

// Whether somebody reads, or has something to read, or nothing is to come.
function isAwaitingAnswer (stream) {
  const reader = stream._reader
  if (stream._halves !== BOTH || !stream._isOurs() || reader.hasEnded) return true
  if (reader.state === UNCLAIMED) {
    return reader.early !== null || (stream.listenerCount('end') > 0 && stream.listeners('end').some(takesValue))
  }
  // resume() without a listener throws away what comes.
  return stream.readableFlowing !== true || isListenedTo(stream)
}

// A listener of 'end' that has a parameter waits for an end value, which is an answer.
function takesValue (listener) { return listener.length > 0 }

function tellUnread () {
  const streams = finished
  finished = []
  for (const stream of streams) {
    if (!stream.destroyed && !isAwaitingAnswer(stream)) stream._connection._link.command(op.UNREAD, stream._nativeHandle, 0)
  }
}

module.exports = {
  PATIENCE, awaitsProgram, consider, isServed, onUnread, openerFinished, peerEndSeen, serve, tooLate
}
