'use strict'

// The callbacks that wait for the abort of a signal: for opens under way, and for the streams that came of them.
//
// This file may not: know how a stream is opened, or hold a stream that has closed.

const { abortError } = require('./errors')
const { asOwn } = require('./node-buffer')

// The callbacks by signal. A signal has one listener of this package's, however many streams it governs, because Node
// warns of a leak from the eleventh listener on.
const waiting = new WeakMap()

/** Calls `onAbort` once, when the signal is aborted. @returns {function} cancels the watch */
function watch (signal, onAbort) {
  const callbacks = waiting.get(signal) ?? listen(signal)
  callbacks.add(onAbort)
  return () => {
    // A signal may live far longer than its streams, so no listener of theirs may stay on it.
    if (callbacks.delete(onAbort) && callbacks.size === 0) callbacks.unlisten()
  }
}

function listen (signal) {
  const callbacks = new Set()
  const onEvent = () => {
    callbacks.unlisten()
    for (const callback of [...callbacks]) callback()
    callbacks.clear()
  }
  callbacks.unlisten = () => {
    signal.removeEventListener('abort', onEvent)
    if (waiting.get(signal) === callbacks) waiting.delete(signal)
  }
  waiting.set(signal, callbacks)
  signal.addEventListener('abort', onEvent)
  return callbacks
}

/**
 * Destroys the stream when the signal is aborted. The program itself wished the abort, so no 'error' listener is
 * required: 'error' is emitted only if somebody listens, as when the peer ends a stream.
 */
function govern (stream, signal) {
  stream.once('close', asOwn(watch(signal, () => stream._fail(abortError(signal)))))
}

module.exports = { govern, watch }
