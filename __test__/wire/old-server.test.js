'use strict'

// Our client, and at the other end an old server: literal bytes both ways.

const test = require('node:test')
const assert = require('node:assert/strict')
const { MuxClient, watchClient } = require('../support/mux.js')
const { nextEvent, collect, within, eventually } = require('../support/events.js')
const { listenWire, frame } = require('../support/wire.js')
const { oldServer } = require('../support/old.js')

test('our client opens a stream at an old server, writes and ends', async (t) => {
  const { client, peer } = await oldServer(t)
  const opening = client.StreamPool.createStream({ a: 1 })
  await peer.expects('0000000d ff 02 7b2261223a317d') // new stream 255, meta {"a":1}
  peer.send('0000000a ff 04 6e756c6c') // ack
  const stream = await within(opening, 'the stream')
  stream.write(Buffer.from('hi'))
  await peer.expects('00000008 ff 00 6869') // data 'hi'
  stream.end({ a: 1 })
  await peer.expects('0000000d ff 03 7b2261223a317d') // end with {"a":1}
  assert.equal(client.connection.stats().peer, 'old')
  client.end()
  assert.equal((await peer.rest()).length, 0)
})

test('opens made before the connect leave in order, behind the offer', async (t) => {
  const wire = await listenWire(t)
  const client = new MuxClient(wire.port, '127.0.0.1')
  for (const meta of [1, 2, 3]) client.StreamPool.createStream(meta, () => {})
  const peer = await wire.next()
  await watchClient(t, client)
  await peer.offerQmux()
  await peer.expects('00000007 ff 02 31  00000007 fe 02 32  00000007 fd 02 33')
})

test('an old server opens a stream at our client', async (t) => {
  const { client, peer } = await oldServer(t)
  const announced = nextEvent(client, 'stream')
  peer.send('0000001d 00 02 7b2274797065223a22757064617465222c226e223a317d') // new stream 0
  const [stream] = await announced
  assert.equal(stream.id, 0)
  assert.deepEqual(stream.meta, { type: 'update', n: 1 })
  await peer.expects('0000000a 00 04 6e756c6c')
  const all = collect(stream)
  peer.send('00000008 00 00 6869  00000006 00 00  0000000a 00 03 6e756c6c') // 'hi', an empty frame, end
  assert.deepEqual((await all).chunks.map(String), ['hi', ''])
  await eventually(() => client.connection.stats().peer === 'old', 'it knows the server to be old')
})

test('streams of both directions with the same id do not touch each other', async (t) => {
  const { client, peer } = await oldServer(t)
  const announced = nextEvent(client, 'stream')
  const opening = client.StreamPool.createStream('c')
  await peer.expects('00000009 ff 02 226322')
  peer.send('0000000a ff 04 6e756c6c')
  const mine = await within(opening, 'the stream')
  peer.send('00000009 ff 02 227322') // the old server takes 255 as well
  const [theirs] = await announced
  await peer.expects('0000000a ff 04 6e756c6c')
  const all = collect(theirs)
  mine.end()
  await peer.expects('0000000a ff 03 6e756c6c')
  peer.send('00000008 ff 00 6869  0000000a ff 03 6e756c6c')
  assert.deepEqual((await all).chunks.map(String), ['hi'])
})

test('ids are taken from the top again, past those whose streams have not ended', async (t) => {
  const { client, peer } = await oldServer(t)
  const opened = within(new Promise((resolve) => client.StreamPool.createStream('a', resolve)), 'the callback')
  await peer.expects('00000009 ff 02 226122')
  client.StreamPool.createStream('b', () => {})
  await peer.expects('00000009 fe 02 226222')
  peer.send('0000000a ff 04 6e756c6c')
  const stream = await opened
  const closed = nextEvent(stream, 'close')
  stream.end()
  await peer.expects('0000000a ff 03 6e756c6c')
  await closed
  // 255 is acknowledged and ended, 254 is not: the next is 255 again, and the one behind it 253.
  client.StreamPool.createStream('c', () => {})
  client.StreamPool.createStream('d', () => {})
  await peer.expects('00000009 ff 02 226322  00000009 fd 02 226422')
})

test('acknowledgements may come in any order', async (t) => {
  const { client, peer } = await oldServer(t)
  const order = []
  const all = within(new Promise((resolve) => {
    for (const meta of [1, 2, 3]) {
      client.StreamPool.createStream(meta, (stream) => {
        order.push(stream.meta)
        if (order.length === 3) resolve()
      })
    }
  }), 'three callbacks')
  await peer.expects('00000007 ff 02 31  00000007 fe 02 32  00000007 fd 02 33')
  peer.send('0000000a fd 04 6e756c6c  0000000a ff 04 6e756c6c  0000000a fe 04 6e756c6c')
  await all
  assert.deepEqual(order, [3, 1, 2])
})

test('a second acknowledgement of a live stream calls back no second time', async (t) => {
  const { client, peer } = await oldServer(t)
  client.on('error', () => {}) // whether it is tolerated is not what matters here
  let calls = 0
  const opened = within(new Promise((resolve) => client.StreamPool.createStream(1, () => {
    calls++
    resolve()
  })), 'the callback')
  await peer.expects('00000007 ff 02 31')
  peer.send('0000000a ff 04 6e756c6c  0000000a ff 04 6e756c6c')
  await opened
  client.end()
  await peer.rest()
  assert.equal(calls, 1)
})

test('a write larger than any frame we send is whole frames of one stream, in order', async (t) => {
  const { client, peer } = await oldServer(t)
  const opening = client.StreamPool.createStream(null)
  await peer.expects('0000000a ff 02 6e756c6c')
  peer.send('0000000a ff 04 6e756c6c')
  const stream = await within(opening, 'the stream')
  const content = Buffer.alloc(1_000_000)
  for (let index = 0; index < content.length; index += 4) content.writeUInt32LE(index, index)
  stream.write(content)
  stream.end()
  const parts = []
  for (let each = await peer.frame(); each.type !== 3; each = await peer.frame()) {
    assert.deepEqual([each.id, each.type], [255, 0])
    parts.push(each.payload)
  }
  assert.ok(Buffer.concat(parts).equals(content))
})

test('frames of several streams leave whole, never one inside another', async (t) => {
  const { client, peer } = await oldServer(t)
  const openings = [0, 1, 2].map((meta) => client.StreamPool.createStream(meta))
  const ids = []
  for (let count = 0; count < 3; count++) {
    const { id, type } = await peer.frame()
    assert.equal(type, 2)
    ids.push(id)
    peer.send(frame(id, 4, 'null'))
  }
  const streams = await within(Promise.all(openings), 'the streams')
  for (let index = 0; index < 200; index++) {
    for (const stream of streams) stream.write(Buffer.alloc(index * 10, stream.id))
  }
  for (const stream of streams) stream.end()
  const sizes = new Map(ids.map((id) => [id, 0]))
  for (let ends = 0; ends < 3;) {
    const { id, type, payload } = await peer.frame()
    if (type === 3) ends++
    else {
      assert.ok(payload.every((byte) => byte === id))
      sizes.set(id, sizes.get(id) + payload.length)
    }
  }
  assert.deepEqual([...sizes.values()], [199_000, 199_000, 199_000])
})
