'use strict'

// What this package asks of a Node stream that no call of Node's answers.
//
// This file may not: know a connection, or what a chunk is charged with.

const { StringDecoder } = require('node:string_decoder')
const { areLeftovers } = require('./pipelines')

/**
 * Decodes what is buffered in object mode, chunk by chunk, and what comes from now on. A chunk that is no more than
 * part of a character leaves the buffer: its text comes with the next one.
 * @returns {number[]} the places of those, in ascending order
 */
function decodeBuffered (state, encoding) {
  const decoder = new StringDecoder(encoding)
  const gone = []
  const kept = []
  let at = 0
  for (const chunk of buffered(state.buffer, state.bufferIndex)) {
    const text = ArrayBuffer.isView(chunk) ? decoder.write(chunk) : chunk
    if (text === '' && chunk.length > 0) gone.push(at)
    else kept.push(text)
    at++
  }
  if (state.ended) {
    // Nothing completes a character any more.
    const rest = decoder.end()
    if (rest !== '') {
      kept.push(rest)
      gone.pop()
    }
  }
  if (Array.isArray(state.buffer)) {
    state.buffer = kept
    state.bufferIndex = 0
  } else {
    state.buffer.clear()
    for (const chunk of kept) state.buffer.push(chunk)
  }
  state.length = kept.length
  state.decoder = decoder
  state.encoding = decoder.encoding
  return gone
}

function buffered (buffer, start) {
  if (Array.isArray(buffer)) return buffer.slice(start)
  // Node 20 has a linked list.
  const chunks = []
  for (let entry = buffer.head; entry; entry = entry.next) chunks.push(entry.data)
  return chunks
}

/** Drops what is buffered. */
function clearBuffered (state) {
  if (Array.isArray(state.buffer)) {
    state.buffer = []
    state.bufferIndex = 0
  } else {
    state.buffer.clear()
  }
  state.length = 0
}

/** Goes on with a flow that a listener broke off, as Node itself flows. */
function flowOn (stream) {
  const state = stream._readableState
  while (state.flowing && !stream.destroyed && stream.read() !== null);
}

/** Whether somebody waits for the end of what is written: beside a pipe, which listens to each of these events once. */
function isWatched (stream) {
  const waiting = stream.listenerCount('finish') + stream.listenerCount('error') + stream.listenerCount('close')
  return waiting > 0 && waiting > 3 * pipesInto(stream) + ownListeners(stream)
}

// Listeners to 'close' of this package's own.
const own = new WeakSet()

/** Marks a listener as one that no program waits with. */
function asOwn (listener) {
  own.add(listener)
  return listener
}

function ownListeners (stream) {
  return stream.listenerCount('close') === 0 ? 0 : stream.listeners('close').filter((listener) => own.has(listener)).length
}

/** Whether somebody waits for the stream to finish or to close. */
function isAwaited (stream) {
  if (stream.listenerCount('prefinish') > 0) return true
  return ['finish', 'close'].some((event) => {
    const listeners = stream.listeners(event).filter((listener) => !own.has(listener))
    return listeners.length > 0 && !areLeftovers(stream, event, listeners)
  })
}

// How many sources are piped into the stream.
function pipesInto (stream) {
  return stream.listeners('unpipe').filter(({ name }) => name === 'onunpipe').length
}

/** Whether the program listens to 'error'. A source that is piped into the stream does, too, only to throw it again. */
function isHeard (stream) {
  return stream.listenerCount('error') > pipesInto(stream)
}

module.exports = { asOwn, clearBuffered, decodeBuffered, flowOn, isAwaited, isHeard, isWatched }
