'use strict'

// Random bytes and random frames, from a seeded generator: a connection ends cleanly or with an ERR_MUX_ code of the
// peer's origin, and nobody else notices.

const test = require('node:test')
const assert = require('node:assert/strict')
const { frame, offer } = require('../support/wire.js')
const { arena } = require('../support/healthy.js')

// mulberry32: small, good enough, and the same numbers on every run.
function generator (seed) {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}

const CODES = new Set([
  'ERR_MUX_FRAME_LENGTH', 'ERR_MUX_FRAME_TRUNCATED', 'ERR_MUX_UNKNOWN_STREAM', 'ERR_MUX_STREAM_IN_USE',
  'ERR_MUX_JSON_INVALID', 'ERR_MUX_JSON_TOO_LARGE', 'ERR_MUX_JSON_TOO_DEEP', 'ERR_MUX_OFFER', 'ERR_MUX_SWITCH',
  'ERR_MUX_QMUX_START'
])

// How an application is likely to treat what comes, chosen at random as well.
const TREATMENTS = [
  undefined,
  () => {},
  (stream) => stream.on('data', () => {}),
  (stream) => stream.pause(),
  (stream) => stream.on('end', () => {}),
  (stream) => stream.destroy(),
  (stream) => stream.on('error', () => {}).resume()
]

async function survive (t, seed, rounds, bytesOf) {
  const { attack, healthy } = await arena(t)
  const random = generator(seed)
  const outcomes = new Map()
  for (let round = 0; round < rounds; round++) {
    const bytes = bytesOf(random)
    const error = await attack(bytes, { finish: true, onStream: TREATMENTS[random(TREATMENTS.length)] })
    const outcome = error?.code ?? 'clean'
    // An attacker whose FIN is still on its way when we cut it off may look like one that reset the connection.
    assert.ok(outcome === 'clean' || CODES.has(outcome), `seed ${seed}, round ${round}: ${error?.stack}`)
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }
  await healthy.check()
  return outcomes
}

test('500 connections of random bytes', async (t) => {
  const outcomes = await survive(t, 1, 500, (random) => {
    const bytes = Buffer.alloc(1 + random(3000))
    for (let index = 0; index < bytes.length; index++) bytes[index] = random(256)
    return bytes
  })
  assert.ok(outcomes.size > 1)
})

test('500 connections of random bytes behind a small length', async (t) => {
  await survive(t, 2, 500, (random) => {
    const bytes = Buffer.alloc(6 + random(200))
    for (let index = 0; index < bytes.length; index++) bytes[index] = random(256)
    bytes.writeUInt32BE(random(40), 0)
    bytes[5] = random(8)
    return bytes
  })
})

const PAYLOADS = [
  '', 'null', '1', '"text"', '{"a":1}', '[[[[]]]]', '{', 'nul', '\xff\xfe', '"\\ud800"', ' 1 ', '1 2', 'x'.repeat(5000)
]

// Few ids, so that frames meet; mostly what a peer might send, in any order.
function randomFrames (random) {
  const parts = random(3) === 0 ? [offer()] : []
  const count = 1 + random(30)
  for (let index = 0; index < count; index++) {
    const type = [0, 0, 0, 1, 2, 2, 3, 4, 5, 0xf0, 0xf1, random(256)][random(12)]
    parts.push(frame([0, 1, 2, 255][random(4)], type, Buffer.from(PAYLOADS[random(PAYLOADS.length)], 'latin1')))
  }
  return parts
}

test('1,000 connections of random frames', async (t) => {
  const outcomes = await survive(t, 3, 1000, (random) => Buffer.concat(randomFrames(random)))
  for (const code of ['ERR_MUX_UNKNOWN_STREAM', 'ERR_MUX_JSON_INVALID']) assert.ok(outcomes.get(code) > 0, code)
})

test('500 connections of valid conversations with one byte changed', async (t) => {
  const outcomes = await survive(t, 4, 500, (random) => {
    const parts = []
    for (let id = 0; id < 5; id++) {
      parts.push(frame(id, 2, `{"id":${id}}`), frame(id, 0, 'some data'), frame(id, 1, '[1]'), frame(id, 3, 'null'))
    }
    const bytes = Buffer.concat(parts)
    bytes[random(bytes.length)] = random(256)
    return bytes
  })
  assert.ok(outcomes.get('clean') > 0)
  assert.ok(outcomes.size > 2)
})
