'use strict'

// What waits for a reader in JavaScript costs what it counts for, whatever a peer chooses to send.

const test = require('node:test')
const assert = require('node:assert/strict')
const { connectPair, openPair } = require('../support/mux.js')
const { nextEvent, eventually, within } = require('../support/events.js')
const { frame, connectWire } = require('../support/wire.js')

test('a small chunk that waits does not keep the slab it was cut from', async (t) => {
  const { con, client } = await connectPair(t)
  const waiting = await openPair(client, con)
  const flowing = await openPair(client, con)
  waiting.acceptor.pause()
  let got = 0
  flowing.acceptor.on('data', (chunk) => { got += chunk.length })
  for (let i = 0; i < 100; i++) {
    waiting.creator.write(Buffer.of(i))
    if (!flowing.creator.write(Buffer.alloc(60_000))) await nextEvent(flowing.creator, 'drain')
  }
  await eventually(() => got === 6_000_000, 'all of the stream that flows')
  const buffers = new Set()
  for (let i = 0; i < 100; i++) {
    const chunk = waiting.acceptor.read()
    assert.deepEqual(chunk, Buffer.of(i))
    buffers.add(chunk.buffer)
  }
  const bytes = [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0)
  assert.ok(bytes <= 8192, `${bytes} bytes are kept for 100`)
})

test('end values of streams that are paused stop the peer', async (t) => {
  const { server, con } = await connectPair(t)
  con.destroy()
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [attacked] = await accepted
  const kept = []
  attacked.on('stream', (stream) => {
    stream.on('end', () => {})
    stream.pause()
    kept.push(stream)
  })
  const value = JSON.stringify('v'.repeat(200_000))
  for (let i = 0; i < 200; i++) {
    peer.send(Buffer.concat([frame(0, 2, '1'), frame(0, 0, 'data'), frame(0, 3, value)]))
  }
  await eventually(() => kept.length >= 2, 'the first streams')
  await eventually(() => peer.socket.writableLength > 0, 'the peer to be stopped')
  assert.ok(kept.length < 50, `${kept.length} streams with 200 KB each`)
  // Read, they let the next ones come.
  let ended = 0
  const read = (stream) => stream.on('end', () => ended++).resume()
  kept.forEach(read)
  attacked.on('stream', read)
  await within(eventually(() => ended === 200, 'all streams'), 'the rest')
})
