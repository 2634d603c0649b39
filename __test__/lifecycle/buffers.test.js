'use strict'

// A Buffer given to the application is its own for ever: nothing writes to it again, and keeping it keeps little else.

const test = require('node:test')
const assert = require('node:assert/strict')
const { createHash } = require('node:crypto')
const { connectPair, connectStream, openPair, writeAll } = require('../support/mux.js')
const { nextEvent, collect, take, within } = require('../support/events.js')
const { run } = require('../support/child.js')

const digest = (bytes) => createHash('sha1').update(bytes).digest('latin1')

test('Buffers held while 200 MB pass are still what they were', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const held = []
  let count = 0
  const done = nextEvent(acceptor, 'end')
  acceptor.on('data', (chunk) => {
    if (count++ % 7 === 0) held.push([chunk, digest(chunk)])
  })
  let state = 1
  await writeAll(creator, 20_000, (index) => {
    const bytes = Buffer.alloc(1 + (index * 997) % 20_000)
    for (let offset = 0; offset < bytes.length; offset += 64) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0
      bytes[offset] = state >>> 24
    }
    return bytes
  })
  creator.end()
  await done
  assert.ok(held.length > 2000)
  for (const [chunk, before] of held) assert.equal(digest(chunk), before)
})

test('an application may write into a Buffer it was given without changing another', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const all = collect(acceptor)
  for (let index = 0; index < 1000; index++) creator.write(Buffer.alloc(100, index))
  creator.end()
  const { chunks } = await all
  for (let index = 0; index < 1000; index += 2) chunks[index].fill(0xee)
  for (let index = 1; index < 1000; index += 2) assert.ok(chunks[index].equals(Buffer.alloc(100, index)))
})

test('a Buffer given to structuredClone with a transfer takes no neighbour with it', async (t) => {
  const { creator, acceptor } = await connectStream(t)
  const arriving = take(acceptor, 10)
  for (let index = 0; index < 10; index++) creator.write(Buffer.alloc(100, index))
  const chunks = await arriving
  try {
    structuredClone(chunks[0], { transfer: [chunks[0].buffer] })
  } catch (error) {
    assert.equal(error.name, 'DataCloneError')
  }
  for (let index = 1; index < 10; index++) assert.ok(chunks[index].equals(Buffer.alloc(100, index)))
  const more = take(acceptor, 1)
  creator.write(Buffer.from('it goes on'))
  assert.equal(String((await more)[0]), 'it goes on')
})

test('meta and end values stay what they were', async (t) => {
  const { con, client } = await connectPair(t)
  const ends = []
  for (let index = 0; index < 50; index++) {
    const { creator, acceptor } = await openPair(client, con, { index })
    const ended = nextEvent(acceptor, 'end')
    creator.end({ index })
    const [value] = await ended
    assert.deepEqual(acceptor.meta, { index })
    ends.push(value)
  }
  const { creator, acceptor } = await openPair(client, con)
  const done = collect(acceptor)
  await writeAll(creator, 100, () => Buffer.alloc(65536, 0xff))
  creator.end()
  await done
  ends.forEach((value, index) => assert.equal(String(value), `{"index":${index}}`))
})

test('holding one 64-byte message of each MiB received, 1,000 times, costs under 100 MiB', { timeout: 120_000 },
  async (t) => {
    const child = run(t, 'holding.js', ['1000', '16384'], { execArgv: ['--expose-gc'] })
    const { held, cost, resident } = await within(child.report(), 'the report', 110_000)
    assert.equal((await child.exit()).code, 0)
    assert.equal(held, 1000)
    assert.ok(cost < 100, `${cost} MiB are kept for 64 KB of messages`)
    assert.ok(resident < 160, `the process has grown by ${resident} MiB`)
  })

test('the same holds when everything received is 64-byte messages (200 MiB of them, a fifth of the cost)',
  { timeout: 120_000 }, async (t) => {
    const child = run(t, 'holding.js', ['200', '64'], { execArgv: ['--expose-gc'] })
    const { held, cost } = await within(child.report(), 'the report', 110_000)
    assert.equal((await child.exit()).code, 0)
    assert.equal(held, 200)
    assert.ok(cost < 20, `${cost} MiB are kept for 12.8 KB of messages`)
  })
