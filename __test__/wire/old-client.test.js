'use strict'

// Our server, and at the other end an old client: literal bytes both ways.

const test = require('node:test')
const assert = require('node:assert/strict')
const { startServer } = require('../support/mux.js')
const { nextEvent, events, collect, take, within, eventually } = require('../support/events.js')
const { connectWire, frame } = require('../support/wire.js')
const { oldClient } = require('../support/old.js')

test('an old client opens a stream, is acknowledged, sends data and ends', async (t) => {
  const server = await startServer(t)
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  const [con] = await accepted
  const announced = nextEvent(con, 'stream')
  peer.send('0000000d 00 02 7b2261223a317d') // new stream 0, meta {"a":1}
  const [stream] = await announced
  assert.equal(stream.id, 0)
  assert.deepEqual(stream.meta, { a: 1 })
  await peer.expects('0000000a 00 04 6e756c6c') // ack of stream 0, and no offer before it
  const all = collect(stream)
  peer.send('00000008 00 00 6869') // data 'hi'
  peer.send('0000000a 00 03 6e756c6c') // end
  const { chunks, endArguments } = await all
  assert.deepEqual(chunks, [Buffer.from('hi')])
  assert.deepEqual(endArguments, [])
  assert.equal(con.stats().peer, 'old')
  const closed = nextEvent(con, 'close')
  peer.finish()
  await closed
  assert.equal((await peer.rest()).length, 0)
})

test('the acknowledgement goes out after \'stream\' was emitted', async (t) => {
  const server = await startServer(t)
  const order = []
  server.on('connection', (con) => con.on('stream', () => order.push('stream')))
  const peer = await connectWire(t, server.address().port)
  peer.socket.on('data', () => order.push('ack'))
  peer.send('0000000a 00 02 6e756c6c')
  await peer.expects('0000000a 00 04 6e756c6c')
  assert.deepEqual(order, ['stream', 'ack'])
})

test('everything an old client sends in one segment is understood in order', async (t) => {
  const server = await startServer(t)
  const got = within(new Promise((resolve) => {
    const seen = []
    server.on('connection', (con) => con.on('stream', (stream) => {
      stream.on('data', (chunk) => seen.push([stream.meta, String(chunk)]))
      stream.on('end', () => {
        seen.push([stream.meta, 'end'])
        if (stream.meta === 2) resolve(seen)
      })
    }))
  }), 'the end of the second stream')
  const peer = await connectWire(t, server.address().port)
  peer.send([
    '00000007 00 02 31', // new stream 0, meta 1
    '00000007 01 02 32', // new stream 1, meta 2
    '00000007 01 00 62', // data 'b' for stream 1
    '00000007 00 00 61', // data 'a' for stream 0
    '0000000a 00 03 6e756c6c', // end of stream 0
    '0000000a 01 03 6e756c6c' // end of stream 1
  ].join(''))
  assert.deepEqual(await got, [[2, 'b'], [1, 'a'], [1, 'end'], [2, 'end']])
  await peer.expects('0000000a 00 04 6e756c6c  0000000a 01 04 6e756c6c')
})

test('the end frame of an old client may carry a value', async (t) => {
  const { peer, con } = await oldClient(t)
  const announced = nextEvent(con, 'stream')
  peer.send('0000000a 00 02 6e756c6c')
  const [stream] = await announced
  const all = collect(stream)
  peer.send('0000000d 00 03 7b2261223a317d') // end with {"a":1}
  const { chunks, endArguments } = await all
  assert.deepEqual(chunks, [])
  assert.deepEqual(endArguments, [Buffer.from('{"a":1}')])
})

test('an old client uses an id again as soon as it has ended it', async (t) => {
  const { peer, con } = await oldClient(t)
  const metas = []
  con.on('stream', (stream) => {
    metas.push(stream.meta)
    stream.resume()
  })
  for (const meta of ['1', '2', '3']) {
    peer.send(frame(0, 2, meta)).send('00000007 00 00 78').send('0000000a 00 03 6e756c6c')
  }
  for (let count = 0; count < 3; count++) await peer.expects('0000000a 00 04 6e756c6c')
  assert.deepEqual(metas, [1, 2, 3])
})

test('an id is free again although the application still reads what its last stream left', async (t) => {
  const { peer, con } = await oldClient(t)
  const announced = events(con, 'stream', 2)
  peer.send('00000007 00 02 31  00000008 00 00 6f31  0000000a 00 03 6e756c6c') // stream 0, meta 1, 'o1', end
  peer.send('00000007 00 02 32  00000008 00 00 6f32  0000000a 00 03 6e756c6c') // stream 0, meta 2, 'o2', end
  const [[first], [second]] = await announced
  const [one, two] = await Promise.all([collect(first), collect(second)])
  assert.deepEqual([one, two].map(({ chunks }) => String(chunks)), ['o1', 'o2'])
})

test('our server opens towards an old client with ids from 255 downward', async (t) => {
  const { peer, con } = await oldClient(t)
  for (const meta of [{ a: 1 }, 'x', null]) con.StreamPool.createStream(meta, () => {})
  await peer.expects('0000000d ff 02 7b2261223a317d') // new stream 255, meta {"a":1}
  await peer.expects('00000009 fe 02 227822') // new stream 254, meta "x"
  await peer.expects('0000000a fd 02 6e756c6c') // new stream 253, meta null
})

test('each kind of write is the bytes 0.1.0 expects', async (t) => {
  const { peer, con } = await oldClient(t)
  const opening = con.StreamPool.createStream({ a: 1 })
  await peer.expects('0000000d ff 02 7b2261223a317d')
  peer.send('0000000a ff 04 6e756c6c') // ack of stream 255
  const stream = await within(opening, 'the stream')
  assert.equal(stream.id, 255)
  stream.write(Buffer.from('hi'))
  await peer.expects('00000008 ff 00 6869') // data
  stream.write('hi')
  await peer.expects('0000000a ff 00 22686922') // the string's JSON, quotes included, as raw data
  stream.write('hi', 'utf8')
  await peer.expects('00000008 ff 00 6869')
  stream.write(Buffer.alloc(0))
  await peer.expects('00000006 ff 00') // an empty frame
  stream.write(null)
  await peer.expects('0000000a ff 00 6e756c6c')
  stream.end()
  await peer.expects('0000000a ff 03 6e756c6c') // end
})

for (const [form, args, bytes] of [
  ['end(null)', [null], '0000000a ff 03 6e756c6c'],
  ['end(42)', [42], '00000008 ff 03 3432'],
  ["end('v')", ['v'], '00000009 ff 03 227622'],
  ['end(buffer)', [Buffer.from('b')], '00000007 ff 00 62  0000000a ff 03 6e756c6c']
]) {
  test(`${form} is ${bytes} on the wire`, async (t) => {
    const { peer, con } = await oldClient(t)
    const opening = con.StreamPool.createStream(null)
    await peer.expects('0000000a ff 02 6e756c6c')
    peer.send('0000000a ff 04 6e756c6c')
    const stream = await within(opening, 'the stream')
    stream.end(...args)
    await peer.expects(bytes)
  })
}

test('an id of ours is free again when its stream is ended and acknowledged', async (t) => {
  const { peer, con } = await oldClient(t)
  for (let round = 0; round < 3; round++) {
    const opening = con.StreamPool.createStream(null)
    await peer.expects('0000000a ff 02 6e756c6c')
    peer.send('0000000a ff 04 6e756c6c')
    const stream = await within(opening, 'the stream')
    const closed = nextEvent(stream, 'close')
    stream.end()
    await peer.expects('0000000a ff 03 6e756c6c')
    await closed
  }
})

test('we take the highest id that is free in both directions', async (t) => {
  const { peer, con } = await oldClient(t)
  con.on('stream', () => {})
  peer.send('0000000a ff 02 6e756c6c  0000000a fd 02 6e756c6c') // the old client opens 255 and 253
  await peer.expects('0000000a ff 04 6e756c6c  0000000a fd 04 6e756c6c')
  con.StreamPool.createStream(null, () => {})
  con.StreamPool.createStream(null, () => {})
  await peer.expects('0000000a fe 02 6e756c6c  0000000a fc 02 6e756c6c')
})

test('two opens of one id that cross are told apart by their direction', async (t) => {
  const { peer, con } = await oldClient(t)
  const announced = nextEvent(con, 'stream')
  const opening = con.StreamPool.createStream('ours')
  await peer.expects('0000000c ff 02 226f75727322')
  peer.send('0000000e ff 02 2274686569727322') // the old client's own stream 255, meta "theirs"
  const [theirs] = await announced
  assert.equal(theirs.meta, 'theirs')
  await peer.expects('0000000a ff 04 6e756c6c') // acknowledged, although we have a stream 255 too
  peer.send('0000000a ff 04 6e756c6c') // and ours is
  const ours = await within(opening, 'our stream')
  assert.equal(ours.meta, 'ours')
  const arrived = nextEvent(theirs, 'data')
  const ended = nextEvent(theirs, 'end')
  peer.send('00000008 ff 00 6869')
  assert.deepEqual(await arrived, [Buffer.from('hi')])
  ours.write(Buffer.from('ho'))
  await peer.expects('00000008 ff 00 686f')
  peer.send('0000000a ff 03 6e756c6c') // the end of theirs leaves ours open
  await ended
  ours.write(Buffer.from('on'))
  await peer.expects('00000008 ff 00 6f6e')
})

test('con.end() sends all that was written, then a FIN', async (t) => {
  const { peer, con } = await oldClient(t)
  const opening = con.StreamPool.createStream(null)
  await peer.expects('0000000a ff 02 6e756c6c')
  peer.send('0000000a ff 04 6e756c6c')
  const stream = await within(opening, 'the stream')
  for (let index = 0; index < 10_000; index++) stream.write(Buffer.alloc(100, index))
  stream.end()
  con.end()
  const rest = await peer.rest()
  assert.equal(rest.length, 10_000 * 106 + 10)
  assert.equal(rest.subarray(-10).toString('hex'), '0000000aff036e756c6c')
})

test('an old client that listens in silence gets streams: offer and stream at once', async (t) => {
  const server = await startServer(t)
  server.on('connection', (con) => con.StreamPool.createStream({ type: 'update' }, (stream) => stream.write({ k: 1 })))
  const peer = await connectWire(t, server.address().port)
  const offer = await peer.frame() // an old decoder skips it
  assert.deepEqual([offer.id, offer.type], [0, 0xf0])
  const open = await peer.frame()
  assert.deepEqual([open.id, open.type, open.text], [255, 2, '{"type":"update"}'])
  peer.send('0000000a ff 04 6e756c6c')
  await peer.expects('0000000d ff 00 7b226b223a317d')
})

test('256 streams of an old client live at once, and each has its own data', async (t) => {
  const { peer, con } = await oldClient(t)
  const announced = events(con, 'stream', 256)
  for (let id = 0; id < 256; id++) peer.send(frame(id, 2, String(id)))
  const streams = (await announced).map(([stream]) => stream)
  const chunks = Promise.all(streams.map((stream) => take(stream, 1)))
  for (let id = 255; id >= 0; id--) peer.send(frame(id, 0, `data of ${id}`))
  assert.deepEqual((await chunks).map(String), Array.from({ length: 256 }, (_, id) => `data of ${id}`))
  await eventually(() => con.stats().streamsLive === 256, 'all live')
})
