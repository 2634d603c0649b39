'use strict'

// The legacy decoder through a socket: any segmentation, any size, every type.

const test = require('node:test')
const assert = require('node:assert/strict')
const { nextEvent, events, collect, takeBytes, within, turn, eventually } = require('../support/events.js')
const { hex, frame, offer, connectWire } = require('../support/wire.js')
const { oldClient, oldServer } = require('../support/old.js')
const { startServer } = require('../support/mux.js')

async function announceStream (t) {
  const { peer, con, server } = await oldClient(t)
  const announced = nextEvent(con, 'stream')
  peer.send('0000000a 00 02 6e756c6c')
  const [stream] = await announced
  await peer.expects('0000000a 00 04 6e756c6c')
  return { peer, con, server, stream }
}

const CONVERSATION = [
  '0000000d 00 02 7b2261223a317d', // new stream 0, meta {"a":1}
  '00000008 00 00 6869', // data 'hi'
  '00000006 00 07', // an unknown type
  '00000006 00 00', // data of length 0
  '0000000a 01 02 6e756c6c', // new stream 1, meta null
  '00000008 01 00 796f', // data 'yo'
  '00000008 00 03 3432', // end of stream 0 with 42
  '0000000a 01 03 6e756c6c' // end of stream 1
].join('')

const HEARD = [
  ['stream', { a: 1 }], ['data', { a: 1 }, 'hi'], ['data', { a: 1 }, ''], ['stream', null], ['data', null, 'yo'],
  ['end', { a: 1 }, '42'], ['end', null]
]

// Everything an application hears of a conversation, as a list; pieces of one stream's data are put together again.
function listen (con) {
  const heard = []
  const over = new Promise((resolve) => con.on('stream', (stream) => {
    const { meta } = stream
    heard.push(['stream', meta])
    stream.on('data', (chunk) => heard.push(['data', meta, String(chunk)]))
    stream.on('end', (...args) => {
      heard.push(['end', meta, ...args.map(String)])
      if (meta === null) resolve(heard)
    })
  }))
  return within(over, 'the end of the conversation')
}

const perStream = (heard) => ['{"a":1}', 'null'].map((key) => {
  const own = heard.filter(([, meta]) => JSON.stringify(meta) === key)
  return {
    kinds: own.map(([kind]) => kind).filter((kind, index, all) => kind !== 'data' || all[index - 1] !== 'data'),
    data: own.filter(([kind]) => kind === 'data').map(([, , text]) => text).join(''),
    end: own.filter(([kind]) => kind === 'end').map(([, , ...args]) => args)
  }
})

test('a conversation in one segment is heard in its order', async (t) => {
  const { peer, con } = await oldClient(t)
  const heard = listen(con)
  peer.send(CONVERSATION)
  assert.deepEqual(perStream(await heard), perStream(HEARD))
})

test('a conversation byte by byte is heard the same', async (t) => {
  const { peer, con } = await oldClient(t)
  const heard = listen(con)
  await peer.dribble(CONVERSATION)
  assert.deepEqual(perStream(await heard), perStream(HEARD))
})

test('a conversation cut in two at every byte is heard the same', async (t) => {
  const bytes = hex(CONVERSATION)
  const server = await startServer(t)
  for (let cut = 1; cut < bytes.length; cut++) {
    const accepted = nextEvent(server, 'connection')
    const peer = await connectWire(t, server.address().port)
    const [con] = await accepted
    const heard = listen(con)
    peer.send(bytes.subarray(0, cut))
    await eventually(() => con.bytesRead === cut, 'the first part is read')
    peer.send(bytes.subarray(cut))
    assert.deepEqual(perStream(await heard), perStream(HEARD), `cut at ${cut}`)
    const closed = nextEvent(con, 'close')
    peer.finish()
    await closed
  }
})

test('our client hears a conversation of an old server byte by byte', async (t) => {
  const { client, peer } = await oldServer(t)
  const heard = listen(client)
  await peer.dribble(CONVERSATION)
  assert.deepEqual(perStream(await heard), perStream(HEARD))
})

test('frames of every unknown type are skipped whole, whatever their id and payload', async (t) => {
  const { peer, stream } = await announceStream(t)
  const all = collect(stream)
  const expected = []
  for (let type = 5; type < 256; type++) {
    if (type === 0xf0 || type === 0xf1) continue // offer and switch have tests of their own
    peer.send(frame(type, type, Buffer.alloc(type * 3, type)))
    peer.send(frame(0, 0, `after ${type}`))
    expected.push(`after ${type}`)
  }
  peer.send('0000000a 00 03 6e756c6c')
  assert.equal((await all).chunks.join(''), expected.join(''))
})

test('a huge frame of an unknown type is skipped without being kept', async (t) => {
  const { peer, con, stream } = await announceStream(t)
  const arrived = nextEvent(stream, 'data')
  const size = 64 * 1024 * 1024
  const head = hex('00000000 00 09')
  head.writeUInt32BE(size + 6)
  peer.send(head)
  const before = process.memoryUsage.rss()
  const zeros = Buffer.alloc(1024 * 1024)
  for (let count = 0; count < 64; count++) await new Promise((resolve) => peer.socket.write(zeros, resolve))
  peer.send('00000008 00 00 6869')
  assert.deepEqual(await arrived, [Buffer.from('hi')])
  assert.equal(con.bytesRead, 6 + 10 + 6 + size + 8)
  assert.ok(process.memoryUsage.rss() - before < 40 * 1024 * 1024)
})

for (const [text, value] of [
  ['{"k":[1,2]}', { k: [1, 2] }],
  ['"text"', 'text'],
  ['12.5', 12.5],
  ['true', true],
  ['[]', []]
]) {
  test(`a frame of type 1 with ${text} is a data event with the parsed value`, async (t) => {
    const { peer, stream } = await announceStream(t)
    const arrived = nextEvent(stream, 'data')
    peer.send(frame(0, 1, text))
    assert.deepEqual(await arrived, [value])
  })
}

test('a frame of type 1 with null is a data event with null, and no end', async (t) => {
  const { peer, stream } = await announceStream(t)
  const both = events(stream, 'data', 2)
  peer.send('0000000a 00 01 6e756c6c  00000008 00 00 6869') // JSON data null, raw data 'hi'
  assert.deepEqual(await both, [[null], [Buffer.from('hi')]])
})

test('raw and JSON data keep their order', async (t) => {
  const { peer, stream } = await announceStream(t)
  const all = collect(stream)
  peer.send('00000007 00 00 61  00000007 00 01 31  00000007 00 00 62  00000007 00 01 32  0000000a 00 03 6e756c6c')
  assert.deepEqual((await all).chunks, [Buffer.from('a'), 1, Buffer.from('b'), 2])
})

test('a JSON frame split over many reads is parsed when it is whole', async (t) => {
  const { peer, con, stream } = await announceStream(t)
  const value = { text: 'é😀'.repeat(100) }
  const arrived = nextEvent(stream, 'data')
  await peer.dribble(frame(0, 1, JSON.stringify(value)))
  assert.deepEqual(await arrived, [value])
  const announced = nextEvent(con, 'stream')
  await peer.dribble(frame(1, 2, JSON.stringify(value)))
  assert.deepEqual((await announced)[0].meta, value)
  const ended = nextEvent(stream, 'end')
  await peer.dribble(frame(0, 3, JSON.stringify(value)))
  assert.deepEqual(JSON.parse((await ended)[0]), value)
})

test('a frame of 10 MB is passed on in parts as they come', async (t) => {
  const { peer, stream } = await announceStream(t)
  const size = 10_000_000
  const content = Buffer.alloc(size)
  for (let index = 0; index < size; index += 4) content.writeUInt32LE(index, index)
  const bytes = frame(0, 0, content)
  const first = nextEvent(stream, 'data')
  const all = takeBytes(stream, size)
  peer.send(bytes.subarray(0, 6 + 100_000))
  assert.ok((await first)[0].length > 0, 'the first part does not wait for the last')
  peer.send(bytes.subarray(6 + 100_000))
  assert.ok((await all).equals(content))
})

test('a frame of 10 MB that comes while its stream is paused arrives on resume', async (t) => {
  const { peer, stream } = await announceStream(t)
  stream.pause()
  peer.send(frame(0, 0, Buffer.alloc(10_000_000, 5)))
  await turn()
  assert.ok((await takeBytes(stream.resume(), 10_000_000)).equals(Buffer.alloc(10_000_000, 5)))
})

test('meta of 4 MiB, the default limit, is accepted whole', async (t) => {
  const { peer, con } = await oldClient(t)
  const announced = nextEvent(con, 'stream')
  const text = 'm'.repeat(4 * 1024 * 1024 - 2)
  peer.send(frame(0, 2, JSON.stringify(text)))
  assert.equal((await announced)[0].meta, text)
})

test('ten thousand empty frames in one segment are ten thousand data events', async (t) => {
  const { peer, stream } = await announceStream(t)
  const all = collect(stream)
  peer.send(Buffer.concat(Array(10_000).fill(hex('00000006 00 00'))))
  peer.send('0000000a 00 03 6e756c6c')
  const { chunks } = await all
  assert.equal(chunks.length, 10_000)
  assert.ok(chunks.every((chunk) => chunk.length === 0))
})

test('a hundred thousand frames between random cuts arrive complete and in order', async (t) => {
  const { peer, stream } = await announceStream(t)
  const all = collect(stream)
  const parts = []
  for (let index = 0; index < 100_000; index++) parts.push(frame(0, 0, `${index};`))
  parts.push(hex('0000000a 00 03 6e756c6c'))
  const bytes = Buffer.concat(parts)
  let state = 12345
  for (let offset = 0; offset < bytes.length;) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    const next = Math.min(bytes.length, offset + 1 + state % 20_000)
    await new Promise((resolve) => peer.socket.write(bytes.subarray(offset, next), resolve))
    offset = next
  }
  const { chunks } = await all
  assert.equal(Buffer.concat(chunks).toString(), Array.from({ length: 100_000 }, (_, index) => `${index};`).join(''))
})

test('bytes of two connections that come in turns are not mixed', async (t) => {
  const server = await startServer(t)
  const peers = []
  const streams = []
  for (let index = 0; index < 2; index++) {
    const accepted = nextEvent(server, 'connection')
    const peer = await connectWire(t, server.address().port)
    const [con] = await accepted
    const announced = nextEvent(con, 'stream')
    peer.send(Buffer.concat([offer(), frame(0, 2, 'null')]))
    streams.push((await announced)[0])
    peers.push(peer)
  }
  const all = Promise.all(streams.map((stream) => collect(stream)))
  const text = (index) => frame(0, 0, `of connection ${index}`)
  const half = Math.floor(text(0).length / 2)
  for (let round = 0; round < 200; round++) {
    for (const [index, peer] of peers.entries()) peer.send(text(index).subarray(0, half))
    for (const [index, peer] of peers.entries()) peer.send(text(index).subarray(half))
  }
  for (const peer of peers) peer.send('0000000a 00 03 6e756c6c')
  const [zero, one] = (await all).map(({ chunks }) => Buffer.concat(chunks).toString())
  assert.equal(zero, 'of connection 0'.repeat(200))
  assert.equal(one, 'of connection 1'.repeat(200))
})
