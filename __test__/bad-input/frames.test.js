'use strict'

// Malformed frames, each from an attacker of its own: that one connection ends with a coded error, the server and a
// healthy connection beside it do not notice.

const test = require('node:test')
const assert = require('node:assert/strict')
const { hex, frame, offer } = require('../support/wire.js')
const { eventually, nextEvent, within } = require('../support/events.js')
const { arena } = require('../support/healthy.js')
const { oldServer } = require('../support/old.js')

for (let length = 0; length <= 5; length++) {
  test(`a frame of length ${length} is ERR_MUX_FRAME_LENGTH, whatever its type`, async (t) => {
    const { refuses, healthy } = await arena(t)
    for (let type = 0; type < 7; type++) {
      await refuses(`0000000${length} 00 0${type}`, 'ERR_MUX_FRAME_LENGTH')
      await refuses(`00000006 00 09  0000000${length} 00 0${type} 00000000`, 'ERR_MUX_FRAME_LENGTH')
    }
    await healthy.check()
  })
}

test('a frame of length 0xffffffff is judged by its header, and no memory is taken for it', async (t) => {
  const { refuses, connect, healthy } = await arena(t)
  const before = process.memoryUsage.rss()
  const tail = '00'.repeat(16) // so many that no QMux start can be meant
  await refuses(`ffffffff 00 00 ${tail}`, 'ERR_MUX_UNKNOWN_STREAM') // data
  await refuses(`ffffffff 00 01 ${tail}`, 'ERR_MUX_UNKNOWN_STREAM') // JSON data
  await refuses(`ffffffff 00 02 ${tail}`, 'ERR_MUX_JSON_TOO_LARGE') // new stream
  await refuses(`ffffffff 00 03 ${tail}`, 'ERR_MUX_UNKNOWN_STREAM') // end
  await refuses(`ffffffff 00 04 ${tail}`, 'ERR_MUX_UNKNOWN_STREAM') // ack
  await refuses(`00000007 00 02 31  ffffffff 00 01 ${tail}`, 'ERR_MUX_JSON_TOO_LARGE')
  await refuses(`00000007 00 02 31  ffffffff 00 03 ${tail}`, 'ERR_MUX_JSON_TOO_LARGE')
  // An unknown type is skipped, as far as it comes.
  const { peer, con } = await connect()
  peer.send(`ffffffff 00 09 ${tail}`).send(Buffer.alloc(1024 * 1024))
  await eventually(() => con.bytesRead === 22 + 1024 * 1024, 'all is read')
  assert.equal(con.destroyed, false)
  assert.ok(process.memoryUsage.rss() - before < 64 * 1024 * 1024)
  await healthy.check()
})

test('a data frame of length 0xffffffff for a live stream delivers what comes, and takes no memory for the rest', async (t) => {
  const { connect, healthy } = await arena(t)
  let size = 0
  const { peer, con, closed } = await connect({
    onStream: (stream) => stream.on('data', (chunk) => { size += chunk.length })
  })
  const before = process.memoryUsage.rss()
  peer.send('00000007 00 02 31  ffffffff 00 00')
  for (let count = 0; count < 64; count++) {
    await new Promise((resolve) => peer.socket.write(Buffer.alloc(65536), resolve))
  }
  await eventually(() => size === 64 * 65536, 'the bytes are delivered')
  assert.ok(process.memoryUsage.rss() - before < 64 * 1024 * 1024)
  peer.finish()
  assert.deepEqual(await closed, [true])
  assert.equal(con.destroyed, true)
  await healthy.check()
})

// A frame of every kind, so that a cut can fall everywhere.
const WHOLE = [
  offer(),
  hex('0000000d 00 02 7b2261223a317d'), // new stream 0
  hex('00000008 00 00 6869'), // data
  hex('0000000d 00 01 7b2261223a317d'), // JSON data
  hex('00000009 05 77 010203'), // an unknown type
  hex('00000006 00 00'), // empty data
  hex('0000000d 00 03 7b2261223a317d') // end
]

test('a FIN at every byte of a conversation: clean between frames, ERR_MUX_FRAME_TRUNCATED inside one', async (t) => {
  const { attack, healthy } = await arena(t)
  const bytes = Buffer.concat(WHOLE)
  const boundaries = new Set([0])
  let end = 0
  for (const each of WHOLE) boundaries.add(end += each.length)
  for (let cut = 0; cut <= bytes.length; cut++) {
    const error = await attack(bytes.subarray(0, cut), { finish: true, onStream: (stream) => stream.on('data', () => {}) })
    assert.equal(error?.code, boundaries.has(cut) ? undefined : 'ERR_MUX_FRAME_TRUNCATED', `cut at ${cut}`)
  }
  await healthy.check()
})

test('the frames before a truncated one are delivered', async (t) => {
  const { attack } = await arena(t)
  const seen = []
  const error = await attack('00000007 00 02 31  00000008 00 00 6869  000000ff 00 00 70617274', {
    finish: true,
    onStream: (stream) => {
      stream.on('data', (chunk) => seen.push(String(chunk)))
      stream.on('end', () => seen.push('end'))
    }
  })
  assert.equal(error.code, 'ERR_MUX_FRAME_TRUNCATED')
  // Of the frame that was cut off there may be what came of it, or nothing.
  assert.match(seen.join(''), /^hi(part)?$/)
})

const UNKNOWN_STREAM = {
  'data for a stream that never was': '00000008 07 00 6869',
  'JSON data for a stream that never was': '00000007 07 01 31',
  'an end for a stream that never was': '0000000a 07 03 6e756c6c',
  'an acknowledgement for a stream we never opened': '0000000a 07 04 6e756c6c',
  'an acknowledgement for a stream the peer opened itself': '00000007 00 02 31  0000000a 00 04 6e756c6c',
  'data for a stream that has ended': '00000007 00 02 31  0000000a 00 03 6e756c6c  00000007 00 00 78',
  'JSON data for a stream that has ended': '00000007 00 02 31  0000000a 00 03 6e756c6c  00000007 00 01 31',
  'a second end': '00000007 00 02 31  0000000a 00 03 6e756c6c  0000000a 00 03 6e756c6c',
  'an empty data frame for a stream that never was': '00000006 07 00'
}

for (const [what, bytes] of Object.entries(UNKNOWN_STREAM)) {
  test(`${what} is ERR_MUX_UNKNOWN_STREAM`, async (t) => {
    const { refuses, healthy } = await arena(t)
    await refuses(bytes, 'ERR_MUX_UNKNOWN_STREAM')
    await refuses(bytes, 'ERR_MUX_UNKNOWN_STREAM', { onStream: (stream) => stream.on('data', () => {}) })
    await healthy.check()
  })
}

test('data for a stream that we opened and the peer did not is ERR_MUX_UNKNOWN_STREAM', async (t) => {
  const { connect, errors, healthy } = await arena(t)
  const { peer, con, closed } = await connect()
  peer.send('00000006 00 09')
  await eventually(() => con.stats().peer === 'old', 'the peer is known to be old')
  con.StreamPool.createStream(null, () => {})
  await peer.expects('0000000a ff 02 6e756c6c')
  peer.send('00000007 ff 00 78')
  await closed
  assert.equal(errors.get(con).code, 'ERR_MUX_UNKNOWN_STREAM')
  await healthy.check()
})

test('an acknowledgement for a stream of ours that has ended is ERR_MUX_UNKNOWN_STREAM', async (t) => {
  const { connect, errors, healthy } = await arena(t)
  const { peer, con, closed } = await connect()
  peer.send('00000006 00 09')
  await eventually(() => con.stats().peer === 'old', 'the peer is known to be old')
  const opening = con.StreamPool.createStream(null)
  await peer.expects('0000000a ff 02 6e756c6c')
  peer.send('0000000a ff 04 6e756c6c')
  const stream = await opening
  stream.end()
  await peer.expects('0000000a ff 03 6e756c6c')
  peer.send('0000000a ff 04 6e756c6c')
  await closed
  assert.equal(errors.get(con).code, 'ERR_MUX_UNKNOWN_STREAM')
  await healthy.check()
})

test('opening an id that lives is ERR_MUX_STREAM_IN_USE', async (t) => {
  const { refuses, healthy } = await arena(t)
  await refuses('00000007 00 02 31  00000007 00 02 32', 'ERR_MUX_STREAM_IN_USE')
  await refuses('00000007 ff 02 31  00000007 00 02 31  00000007 ff 02 32', 'ERR_MUX_STREAM_IN_USE')
  await healthy.check()
})

test('frames behind a bad one are not processed', async (t) => {
  const { attack } = await arena(t)
  const metas = []
  await attack('00000007 00 02 31  00000000 00 00  00000007 01 02 32', { onStream: (stream) => metas.push(stream.meta) })
  assert.deepEqual(metas, [1])
})

test('streams of the attacker\'s connection are destroyed with it', async (t) => {
  const { connect } = await arena(t)
  const streams = []
  const { peer, closed } = await connect({ onStream: (stream) => streams.push(stream) })
  peer.send('00000007 00 02 31')
  await peer.expects('0000000a 00 04 6e756c6c')
  const streamClosed = nextEvent(streams[0], 'close')
  peer.send('00000000 00 00')
  await Promise.all([closed, streamClosed])
  assert.equal(streams[0].destroyed, true)
  assert.equal(typeof streams[0].errored.code, 'string')
})

test('our client refuses the same from a server, as its error event', async (t) => {
  for (const [bytes, code] of [
    ['00000000 00 00', 'ERR_MUX_FRAME_LENGTH'],
    ['00000005 00 02', 'ERR_MUX_FRAME_LENGTH'],
    ['00000008 07 00 6869', 'ERR_MUX_UNKNOWN_STREAM'],
    ['0000000a 07 04 6e756c6c', 'ERR_MUX_UNKNOWN_STREAM'],
    ['00000007 00 02 31  00000007 00 02 32', 'ERR_MUX_STREAM_IN_USE'],
    ['00000007 00 02 7b', 'ERR_MUX_JSON_INVALID']
  ]) {
    const { client, peer } = await oldServer(t)
    const failed = nextEvent(client, 'error')
    const closed = nextEvent(client, 'close')
    peer.send(bytes)
    const [error] = await failed
    assert.equal(error.code, code, bytes)
    assert.equal(error.origin, 'peer')
    assert.deepEqual(await closed, [true])
    await within(peer.closed, 'the server to be cut off')
  }
})

test('a FIN inside a frame is ERR_MUX_FRAME_TRUNCATED for our client, too', async (t) => {
  const { client, peer } = await oldServer(t)
  const failed = nextEvent(client, 'error')
  peer.send('0000000a 00').finish()
  assert.equal((await failed)[0].code, 'ERR_MUX_FRAME_TRUNCATED')
})

test('an error in the first segment, before anything was announced, is reported as well', async (t) => {
  const { refuses, healthy } = await arena(t)
  for (let round = 0; round < 50; round++) await refuses(frame(round, 0, 'x'), 'ERR_MUX_UNKNOWN_STREAM')
  await healthy.check()
})
