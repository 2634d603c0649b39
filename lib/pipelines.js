'use strict'

// The listeners of finished() that Node's pipeline() leaves on its source. Once the source has ended, they wait for
// nothing. They are recognized by their code, which a sample pipeline shows.
//
// This file may not: take a listener that may still wait for a leftover.

const { PassThrough, pipeline } = require('node:stream')

const EVENTS = ['error', 'finish', 'close']

// The number of leftovers with each code, by event; and `mark`, the code of an 'error' listener of which each pipeline
// leaves exactly one. The sample is made when it is first needed.
let sample = null

function leftovers () {
  const source = new PassThrough()
  const sink = new PassThrough()
  pipeline(source, sink, () => {})
  const found = Object.fromEntries(EVENTS.map((event) => [event, byCode(source.listeners(event))]))
  source.destroy()
  sink.destroy()
  found.mark = [...found.error].find(([, count]) => count === 1)?.[0]
  return found
}

function byCode (listeners) {
  const counts = new Map()
  for (const listener of listeners) {
    const code = String(listener)
    counts.set(code, (counts.get(code) ?? 0) + 1)
  }
  return counts
}

// How often a stream was piped into another one, by stream. Most streams never are.
const pipes = new WeakMap()

/** Notes that the stream is piped into another one. */
function notePipe (stream) { pipes.set(stream, (pipes.get(stream) ?? 0) + 1) }

/**
 * Whether all these listeners of an event of the stream are such leftovers. A pipeline into a stream, which notePipe()
 * counts, leaves one finished() more than a pipeline into a function.
 */
function areLeftovers (stream, event, listeners) {
  sample ??= leftovers()
  const pipelines = byCode(stream.listeners('error')).get(sample.mark) ?? 0
  for (const [code, count] of byCode(listeners)) {
    const ofOne = sample[event].get(code) ?? 0
    if (count > (ofOne > 1 ? pipelines + Math.min(pipelines, pipes.get(stream) ?? 0) : ofOne * pipelines)) return false
  }
  return true
}

module.exports = { areLeftovers, notePipe }
