'use strict'

// Facts about a Node stream, and changes to its buffer, for which Node has no public call.
//
// This file may not: know a connection, or what a chunk is charged with.

const { StringDecoder } = require('node:string_decoder')
const { areLeftovers } = require('./pipelines')

/**
 * Decodes what is buffered in object mode, chunk by chunk, and sets the decoder for what comes from now on. A chunk
 * that is no more than part of a character leaves the buffer: its text comes with the next chunk.
 * @returns {number[]} the places of the chunks that left, in ascending order
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
    // After the end nothing completes a character any more.
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

/** Resumes a flow that an exception of a listener broke off, in the way in which Node itself flows. */
function flowOn (stream) {
  const state = stream._readableState
  while (state.flowing && !stream.destroyed && stream.read() !== null);
}

/**
 * Whether somebody waits for the end of what is written. A pipe, which listens to each of these events once, does not
 * count.
 */
function isWatched (stream) {
  const waiting = stream.listenerCount('finish') + stream.listenerCount('error') + stream.listenerCount('close')
  return waiting > 0 && waiting > 3 * pipesInto(stream) + ownListeners(stream)
}

// This package's own listeners to 'close'.
const own = new WeakSet()

/** Marks a listener as this package's own, which no program waits with. */
function asOwn (listener) {
  own.add(listener)
  return listener
}

function ownListeners (stream) {
  if (stream.listenerCount('close') === 0) return 0
  return stream.listeners('close').filter((listener) => own.has(listener)).length
}

/** Whether somebody waits for the stream to finish or to close. */
function isAwaited (stream) {
  if (stream.listenerCount('prefinish') > 0) return true
  return ['finish', 'close'].some((event) => {
    const listeners = stream.listeners(event).filter((listener) => !own.has(listener))
    return listeners.length > 0 && !areLeftovers(stream, event, listeners)
  })
}

// The number of sources that are piped into the stream.
function pipesInto (stream) {
  return stream.listeners('unpipe').filter(({ name }) => name === 'onunpipe').length
}

/**
 * Whether the program listens to 'error'. A source that is piped into the stream also listens, only to throw the error
 * again.
 */
function isHeard (stream) {
  return stream.listenerCount('error') > pipesInto(stream)
}

module.exports = { asOwn, clearBuffered, decodeBuffered, flowOn, isAwaited, isHeard, isWatched }
