'use strict'

// docs/PROTOCOL.md tells the truth: each of its hex examples goes over the wire, and its table of errors is the one of
// the code. (The packed package has the document but not these tests.)

const test = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { startServer, MuxClient, watchClient } = require('../support/mux.js')
const { nextEvent, collect } = require('../support/events.js')
const { connectWire, listenWire, hex } = require('../support/wire.js')

const root = path.join(__dirname, '..', '..')
const read = (file) => fs.readFileSync(path.join(root, file), 'utf8')
const document = read('docs/PROTOCOL.md')

const examples = new Map()
for (const [, label, bytes] of document.matchAll(/^```hex (.+)\n([^`]+)```$/gm)) {
  assert.ok(!examples.has(label), `two examples called ${label}`)
  examples.set(label, hex(bytes))
}

function example (label) {
  const bytes = examples.get(label)
  assert.ok(bytes, `no example called ${label}`)
  examples.delete(label)
  return bytes
}

test('every hex example of docs/PROTOCOL.md means what it says there', async (t) => {
  const server = await startServer(t)
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [con] = await accepted
  const open = example('open 0 {"a":1}')
  const ack = example('ack 0')
  const end = example('end 0')

  const announced = nextEvent(con, 'stream')
  peer.send(open)
  const [stream] = await announced
  assert.deepEqual([stream.id, stream.meta], [0, { a: 1 }])
  await peer.expects(ack.toString('hex'))
  const got = collect(stream)
  peer.send(Buffer.concat([example('data 0 hi'), example('data 0'), example('end 0 {"v":1}')]))
  const { chunks, endArguments } = await got
  assert.deepEqual(chunks.map(String), ['hi', ''])
  assert.deepEqual(endArguments.map(String), ['{"v":1}'])

  const again = nextEvent(con, 'stream')
  peer.send(open)
  const [second] = await again
  const ended = collect(second)
  peer.send(end)
  assert.deepEqual((await ended).endArguments, [])

  const documented = example('offer 0102030405060708')
  const wire = await listenWire(t)
  await watchClient(t, new MuxClient(wire.port, '127.0.0.1'))
  const sent = await (await wire.next()).bytes(documented.length)
  const masked = (bytes) => bytes.toString('hex').replace(/^(.{22}).{16}/, '$1nonce')
  assert.equal(masked(sent), masked(documented))

  assert.deepEqual([...examples.keys()], [], 'each example is checked')
})

test('the codes of protocol errors are the same in Rust, in JavaScript and in docs/PROTOCOL.md', () => {
  const codes = (text) => [...new Set(text.match(/ERR_MUX_[A-Z_]+/g))].sort()
  const table = document.slice(document.indexOf('## Limits and errors'), document.indexOf('## The offer'))
  const inRust = codes(read('src/proto/error.rs'))
  assert.deepEqual(codes(table), inRust)
  assert.deepEqual([...require('../../lib/errors.js').PEER_CODES].sort(), inRust)
})
