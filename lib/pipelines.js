'use strict'

// What Node's pipeline() leaves behind on its source: listeners of finished(), which wait for nothing any more once the source
// has ended. They are known by their code, which a pipeline of our own shows.
//
// This file may not: take for a leftover what may still wait.

const { PassThrough, pipeline } = require('node:stream')

const EVENTS = ['error', 'finish', 'close']

// How often each code is there, by event, and `mark`, the 'error' listener that is there once for a pipeline, and never
// otherwise. Taken when it is first asked for.
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

// How often a stream was piped into another one, by stream: most never are.
const pipes = new WeakMap()

/** The stream is piped into another one. */
function notePipe (stream) { pipes.set(stream, (pipes.get(stream) ?? 0) + 1) }

/**
 * Whether all these listeners of an event of the stream are such leftovers. A pipeline into a stream, which notePipe() tells,
 * leaves one finished() more than one into a function.
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
