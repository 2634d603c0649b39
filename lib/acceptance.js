'use strict'

// The answer to the opener of a stream of the peer's: the stream is accepted, or refused. These functions own the field
// `_acceptance` of a stream. The field is null once the answer was sent, and always null on streams of ours. Before the
// answer, the field is WAITING, or the timer of a stream whose asynchronous listener has not decided yet.
//
// This file may not: end a stream, or know what data comes on it.

const { op } = require('./boundary')
const context = require('./context')
const { isServed } = require('./half-open')
const { BOTH } = require('./stream-state')

const WAITING = 0

// The time for which an asynchronous listener may still refuse a stream, before the opener learns that the stream is
// open.
const DECISION = 1000 // ms

/** Sends the acknowledgement, unless this end of the connection has ended. */
function accept (stream) {
  if (stream._acceptance === null) return
  settle(stream)
  const link = stream._connection._link
  if (link.canSend()) link.command(op.ACCEPT, stream._nativeHandle, 0)
}

/** Refuses the stream with a code. @returns {boolean} whether there was an answer to give */
function refuse (stream, code) {
  if (stream._acceptance === null) return false
  settle(stream)
  const link = stream._connection._link
  if (link.canSend()) link.coded(op.REFUSE, stream._nativeHandle, code)
  return true
}

function settle (stream) {
  if (stream._acceptance !== WAITING) clearTimeout(stream._acceptance)
  stream._acceptance = null
}

/** The 'stream' event is over. An asynchronous listener may still refuse the stream. */
function announced (stream) {
  if (stream._acceptance === null) return
  const mayRefuse = isServed(stream) && stream._halves === BOTH && !awaitsOpener(stream)
  if (!mayRefuse) accept(stream)
  // The listener may wait for something that depends on the opener, which learns only by the timer that the stream is
  // open.
  else stream._acceptance = context.later(DECISION, accept, stream)
}

// Whether a listener waits for an event that the opener brings about only after it got the acknowledgement.
function awaitsOpener (stream) { return stream.listenerCount('end') + stream.listenerCount('finish') > 0 }

module.exports = { WAITING, accept, announced, refuse }
