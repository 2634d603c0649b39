'use strict'

// Waiting with a deadline: a test that would hang fails instead, and says what it waited for. Nothing here attaches an
// 'error' listener to what it watches: whether one is there changes what a connection or a stream does with its errors.

// Far above anything a healthy run needs on a loaded two-core machine: it only has to be finite.
const DEADLINE = 30_000

function within (promise, what, ms = DEADLINE) {
  let timer
  const deadline = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain for ${what}`)), ms)
  })
  return Promise.race([promise, deadline]).finally(() => clearTimeout(timer))
}

// The arguments of the next `name` event, as an array.
function nextEvent (emitter, name, { ms, what = `'${name}'` } = {}) {
  return within(new Promise((resolve) => {
    emitter.once(name, (...args) => resolve(args))
  }), what, ms)
}

// The arguments of the first `count` events, each as an array.
function events (emitter, name, count, { ms } = {}) {
  const seen = []
  const all = new Promise((resolve) => {
    emitter.on(name, function listener (...args) {
      seen.push(args)
      if (seen.length === count) {
        emitter.removeListener(name, listener)
        resolve(seen)
      }
    })
  })
  return within(all, `${count} '${name}' events`, ms)
}

// Every 'data' of a stream until its 'end', and what 'end' was called with.
function collect (stream, { ms } = {}) {
  const chunks = []
  return within(new Promise((resolve, reject) => {
    stream.on('data', (chunk) => chunks.push(chunk))
    stream.on('end', (...endArguments) => resolve({ chunks, endArguments }))
    stream.on('close', () => reject(new Error(`the stream closed before 'end', after ${chunks.length} chunks`)))
  }), "a stream's 'end'", ms)
}

async function collectBytes (stream, options) {
  return Buffer.concat((await collect(stream, options)).chunks)
}

// The first `count` 'data' values of a stream that stays open.
function take (stream, count, { ms } = {}) {
  const chunks = []
  return within(new Promise((resolve) => {
    stream.on('data', (chunk) => {
      chunks.push(chunk)
      if (chunks.length === count) resolve(chunks)
    })
  }), `${count} chunks of a stream`, ms)
}

// The first `length` bytes of a stream that stays open.
function takeBytes (stream, length, { ms } = {}) {
  const chunks = []
  let size = 0
  return within(new Promise((resolve) => {
    stream.on('data', (chunk) => {
      chunks.push(chunk)
      size += chunk.length
      if (size >= length) resolve(Buffer.concat(chunks))
    })
  }), `${length} bytes of a stream`, ms)
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const turn = () => new Promise((resolve) => setImmediate(resolve))

// For states that no event announces.
async function eventually (predicate, what, ms = DEADLINE) {
  const end = Date.now() + ms
  while (!predicate()) {
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain until ${what}`)
    await pause(5)
  }
}

// Resolves with the value of `read` once it has not changed for `quiet` ms. A slow machine can only make it resolve too
// early, with a smaller value, so it serves upper bounds and nothing else.
async function settled (read, { quiet = 400, ms = DEADLINE } = {}) {
  const end = Date.now() + ms
  let last = read()
  let since = Date.now()
  while (Date.now() - since < quiet) {
    if (Date.now() > end) throw new Error(`a value did not settle in ${ms} ms: ${last}`)
    await pause(20)
    const now = read()
    if (now !== last) {
      last = now
      since = Date.now()
    }
  }
  return last
}

// The next uncaught exceptions, instead of the end of the process. Reads as a list; `stop` puts things back.
function uncaught () {
  const list = []
  const before = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  const listener = (error) => list.push(error)
  process.on('uncaughtException', listener)
  list.stop = () => {
    process.removeListener('uncaughtException', listener)
    for (const each of before) process.on('uncaughtException', each)
  }
  return list
}

module.exports = {
  within, nextEvent, events, collect, collectBytes, take, takeBytes, pause, turn, eventually, settled, uncaught
}
