'use strict'

// docs/PROTOCOL.md tells the truth: each of its blocks of bytes goes over the wire, from us and to us, and its tables are
// those of the code. (The packed package has the document but not these tests.)

const test = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { startServer, MuxClient, watchClient } = require('../support/mux.js')
const { readWireDocument, root } = require('../support/document.js')
const { connectWire, listenWire, frame, hex, record, varint, offerQmux, FIRST_RECORD } = require('../support/wire.js')
const { nextEvent, collect, take, within } = require('../support/events.js')
const { CONNECTION_DEFAULTS } = require('../../lib/options.js')

const read = (file) => fs.readFileSync(path.join(root, file), 'utf8')
const document = readWireDocument('docs/PROTOCOL.md')
const example = (name) => document.bytes(name)

const NULL = '04 6e756c6c' // a meta: length 4, null

// ---- ends ---------------------------------------------------------------------------------------------------------

// A peer that knows bytes only, on a server of ours, and what the server has of it.
async function onServer (t, protocol, options) {
  const server = await startServer(t, { protocol, ...options })
  const accepted = nextEvent(server, 'connection')
  const peer = await connectWire(t, server.address().port)
  return { server, con: (await accepted)[0], peer }
}

// The same under a client of ours.
async function underClient (t, protocol, options) {
  const wire = await listenWire(t)
  const client = await watchClient(t, new MuxClient({ port: wire.port, host: '127.0.0.1', protocol, ...options }))
  return { client, con: client.connection, peer: await wire.next() }
}

// Both have sent their first records.
async function startedServer (t, options, first = example('first record')) {
  const all = await onServer(t, 'qmux', options)
  all.peer.send(first)
  await all.peer.expects(example('first record'))
  return all
}

async function startedClient (t, options, first = example('first record')) {
  const all = await underClient(t, 'qmux', options)
  await all.peer.expects(example('first record'))
  all.peer.send(first)
  return all
}

// And the peer has opened stream 0, or our client has.
async function openedServer (t, options) {
  const all = await startedServer(t, options)
  const announced = nextEvent(all.con, 'stream')
  all.peer.send(example('open 0 on QMux'))
  const [stream] = await announced
  await all.peer.expects(example('accept 0'))
  return { ...all, stream }
}

async function openedClient (t, options) {
  const all = await startedClient(t, options)
  const opening = all.client.StreamPool.createStream({ a: 1 })
  await all.peer.expects(example('open 0 on QMux'))
  all.peer.send(example('accept 0'))
  return { ...all, stream: await within(opening, 'the stream') }
}

// Reads records until a frame of this type has come. Gives it, and the bytes of streams that came before it, in all.
async function nextFrame (peer, type) {
  for (let sum = 0; ;) {
    for (const each of await peer.frames()) {
      if (each.type === type) return { numbers: each.numbers, sum }
      sum += each.data.length
    }
  }
}

// What a block says that is a record of one frame of numbers.
const numbersOf = (name) => {
  const bytes = example(name)
  assert.equal(bytes.length, bytes[0] + 1, name)
  const numbers = []
  for (let rest = bytes.subarray(2); rest.length > 0;) {
    const size = 1 << (rest[0] >> 6)
    numbers.push(rest.readUIntBE(0, size) % 2 ** (8 * size - 2))
    rest = rest.subarray(size)
  }
  return numbers
}

// ---- the legacy wire ----------------------------------------------------------------------------------------------

test('frames of the legacy wire', async (t) => {
  const { con, peer } = await onServer(t, 'auto')
  const open = example('open 0 {"a":1}')
  const announced = nextEvent(con, 'stream')
  peer.send(open)
  const [stream] = await announced
  assert.deepEqual([stream.id, stream.meta], [0, { a: 1 }])
  await peer.expects(example('ack 0'))
  const got = collect(stream)
  peer.send(Buffer.concat([example('data 0 hi'), example('data 0'), example('end 0 {"v":1}')]))
  const { chunks, endArguments } = await got
  assert.deepEqual(chunks.map(String), ['hi', ''])
  assert.deepEqual(endArguments.map(String), ['{"v":1}'])

  const again = nextEvent(con, 'stream')
  peer.send(open)
  const [second] = await again
  const ended = collect(second)
  peer.send(example('end 0'))
  assert.deepEqual((await ended).endArguments, [])
})

test('an offer of no version, and what comes after it', async (t) => {
  const { con, peer } = await onServer(t, 'auto')
  peer.send(example('offer of no version'))
  await peer.offerQmux()
  peer.send(example('open 0 {"a":1}'))
  await peer.expects(example('ack 0'))
  assert.deepEqual([con.stats().peer, con.protocol], ['new', 'legacy'])
})

// ---- which wire is spoken -----------------------------------------------------------------------------------------

const NONCE = '0102030405060708' // as in the blocks
const withNonce = (name, nonce) => hex(example(name).toString('hex').replace(NONCE, nonce))

test('offer, switch and a carried stream: our end listens', async (t) => {
  const { con, peer } = await onServer(t, 'auto')
  const announced = nextEvent(con, 'stream')
  peer.send(Buffer.concat([example('offer'), example('open ff {"a":1}'), example('data ff hi')]))
  const nonce = await peer.offerQmux()
  assert.deepEqual(offerQmux(), example('offer'))
  await peer.expects(example('switch'))
  await peer.expects(example('first record'))
  assert.deepEqual(hex(FIRST_RECORD), example('first record'))
  const [stream] = await announced
  assert.deepEqual([stream.id, stream.meta], [0, { a: 1 }])
  const got = collect(stream)
  await peer.expects(example('accept 0'))
  assert.equal(con.protocol, 'legacy')
  peer.send(Buffer.concat([withNonce('switch', nonce), example('first record')]))
  peer.send(Buffer.concat([example('message on 0'), example('end 0 on QMux'), example('unread 0')]))
  assert.deepEqual((await got).chunks.map(String), ['hi', 'hello'])
  assert.equal(con.protocol, 'qmux')
  await peer.expects(example('end 0 on QMux')) // our half follows by itself
})

test('offer, switch and a carried stream: our end connects', async (t) => {
  const { client, con, peer } = await underClient(t, 'auto')
  const nonce = await peer.offerQmux()
  const opening = client.StreamPool.createStream({ a: 1 })
  await peer.expects(example('open ff {"a":1}'))
  // The other end's offer has the nonce of the blocks.
  peer.send(Buffer.concat([example('offer'), withNonce('switch', nonce), example('first record'), example('accept 0')]))
  await peer.expects(example('switch'))
  await peer.expects(example('first record'))
  const stream = await within(opening, 'the stream')
  assert.deepEqual([stream.id, con.protocol], [0, 'qmux'])
  stream.write(Buffer.from('hello'))
  await peer.expects(example('message on 0'))
})

// ---- our mapping --------------------------------------------------------------------------------------------------

for (const protocol of ['auto', 'qmux']) {
  test(`a stream of the peer's on QMux, and its end with a value, by a server on '${protocol}'`, async (t) => {
    const { con, peer } = await onServer(t, protocol)
    const announced = nextEvent(con, 'stream')
    peer.send(example('first record'))
    await peer.expects(example('first record'))
    peer.send(example('open 0 on QMux'))
    const [stream] = await announced
    assert.deepEqual([stream.id, stream.meta, con.protocol], [0, { a: 1 }, 'qmux'])
    await peer.expects(example('accept 0'))
    const got = collect(stream)
    peer.send(Buffer.concat([example('message on 0'), example('messages on 0'), example('end value on 0')]))
    const { chunks, endArguments } = await got
    assert.deepEqual(chunks.map(String), ['hello', 'hi', '', 'yo'])
    assert.deepEqual(endArguments.map(String), ['{"v":1}'])
    peer.send(example('unread 0'))
    await peer.expects(example('end 0 on QMux'))
  })
}

// The first record of an end of this package that knows no UNREAD.
const WITHOUT_UNREAD = hex('36 ff5153300d0a0d0a 2d 04 04 80100000 05 04 80040000 06 04 80040000 08 02 4100' +
  'c571c59429cd0845 04 80010010 f254534d58000001 01 01')

test('a half that nobody reads', async (t) => {
  const { peer, stream } = await openedClient(t)
  const closed = nextEvent(stream, 'close')
  stream.end()
  await peer.expects(example('end 0 on QMux'))
  await peer.expects(example('unread 0'))
  peer.send(example('end 0 on QMux'))
  await closed

  // Who has not declared the parameter is told nothing.
  const other = await startedClient(t, {}, WITHOUT_UNREAD)
  const opening = other.client.StreamPool.createStream({ a: 1 })
  await other.peer.expects(example('open 0 on QMux'))
  other.peer.send(example('accept 0'))
  await within(opening, 'the stream').then((second) => second.end())
  await other.peer.expects(example('end 0 on QMux'))
  other.client.connection.ping().catch(() => {})
  await other.peer.expects(example('ping 0'))
})

test('a stop on the legacy wire', async (t) => {
  const { con, peer } = await onServer(t, 'auto')
  const announced = nextEvent(con, 'stream')
  peer.send(example('open ff {"a":1}'))
  const [stream] = await announced
  await peer.frame()
  stream.destroy()
  await peer.expects(example('stop 255'))

  const { client, peer: other } = await underClient(t, 'legacy')
  const opening = client.StreamPool.createStream({ a: 1 })
  await other.expects(example('open ff {"a":1}'))
  other.send(example('stop 255')) // of one that had the id before
  other.send(frame(255, 4, 'null'))
  const ours = await within(opening, 'the stream')
  const stopped = nextEvent(ours, 'stopSending')
  other.send(example('stop 255'))
  assert.deepEqual(await stopped, [0])
})

test('a stream of ours on QMux, and its end with a value', async (t) => {
  const { peer, stream } = await openedClient(t)
  stream.write(Buffer.from('hello'))
  await peer.expects(example('message on 0'))
  stream.write(Buffer.from('hi'))
  stream.write(Buffer.alloc(0))
  stream.write(Buffer.from('yo'))
  await peer.expects(example('messages on 0'))
  stream.end({ v: 1 })
  await peer.expects(example('end value on 0'))
})

test('a stream of ours on QMux, and its end without a value', async (t) => {
  const { peer, stream } = await openedClient(t)
  const ended = nextEvent(stream, 'end')
  const closed = nextEvent(stream, 'close')
  stream.resume()
  peer.send(example('end 0 on QMux'))
  assert.deepEqual(await ended, [])
  await peer.expects(example('end 0 on QMux'))
  await closed
})

test('a refusal of ours', async (t) => {
  const { con, peer } = await openedServer(t)
  con.on('stream', (stream) => stream.refuse(7))
  peer.send(record(`38 04 ${NULL}`))
  await peer.expects(example('refuse 4'))
})

test('a refusal of the peer\'s', async (t) => {
  const { client, peer } = await openedClient(t)
  const opening = client.StreamPool.createStream(null)
  await peer.expects(record(`38 04 ${NULL}`))
  peer.send(example('refuse 4'))
  await assert.rejects(within(opening, 'the refusal'), { code: 'ERR_MUX_STREAM_REFUSED', refuseCode: 7 })
  await peer.expects('04 04 04 07 05') // RESET_STREAM 4, code 7, final size 5
})

test('a half that is given up', async (t) => {
  const { peer, stream } = await openedServer(t)
  stream.write(Buffer.from('answer'))
  await peer.expects(Buffer.concat([hex('08 38 00'), Buffer.from('answer')]))
  stream.reset(5)
  await peer.expects(example('reset 0'))

  const other = await openedClient(t)
  const failed = nextEvent(other.stream, 'error')
  const got = take(other.stream, 1)
  other.peer.send(Buffer.concat([hex('08 38 00'), Buffer.from('answer')]))
  assert.equal(String(await got), 'answer')
  other.peer.send(example('reset 0'))
  const [error] = await failed
  assert.deepEqual([error.code, error.resetCode], ['ERR_MUX_STREAM_RESET', 5])
})

test('a half that is stopped', async (t) => {
  const { peer, stream } = await openedServer(t)
  stream.stopSending(6)
  await peer.expects(example('stop 0'))

  const other = await openedClient(t)
  const stopped = nextEvent(other.stream, 'stopSending')
  other.peer.send(example('stop 0'))
  assert.deepEqual(await stopped, [6])
  await other.peer.expects(example('reset 0 in answer'))
})

test('going away', async (t) => {
  const { con, peer } = await openedServer(t)
  con.goaway()
  await peer.expects(example('go away'))

  const { client, con: ours, peer: other } = await openedClient(t)
  const opening = client.StreamPool.createStream(null)
  await other.expects(record(`38 04 ${NULL}`))
  const told = nextEvent(ours, 'goaway')
  other.send(example('go away'))
  await told
  await assert.rejects(within(opening, 'the failure'), { code: 'ERR_MUX_GOAWAY' })
  await other.expects('04 04 04 00 05') // RESET_STREAM 4, code 0, final size 5
})

// ---- flow control -------------------------------------------------------------------------------------------------

test('credit of ours, on a stream and in all', async (t) => {
  const { con, peer, stream } = await openedServer(t)
  con.on('stream', (each) => each.resume())
  stream.resume()
  // While a ping is under way none is sent for the windows' sake.
  con.ping().catch(() => {})
  await peer.expects(example('ping 0'))
  const send = (id, length) => {
    for (let left = length; left > 0; left -= 16384) {
      peer.send(record(`38 ${varint(id).toString('hex')}`, Buffer.alloc(Math.min(left, 16384))))
    }
  }
  send(0, 131072 - 8) // the meta's bytes count, too
  await peer.expects(example('more on 0'))
  for (const id of [4, 8, 12, 16]) {
    peer.send(record(`38 ${varint(id).toString('hex')} ${NULL}`))
    await peer.expects(record(`38 ${varint(id).toString('hex')} 00`))
    send(id, 393216 / 4 - 5) // less than half a window
  }
  await peer.expects(example('more in all'))
})

test('credit of the peer\'s, on a stream and in all', async (t) => {
  const { client, peer, stream } = await openedClient(t)
  // Messages of up to 64 KiB are not cut: these come to the limits exactly.
  for (const length of [262144 - 8, 131072, 65536]) stream.write(Buffer.alloc(length))
  let blocked = await nextFrame(peer, 0x15)
  assert.deepEqual([blocked.numbers, blocked.sum], [numbersOf('blocked on 0'), 262144 - 8])
  peer.send(example('more on 0'))
  blocked = await nextFrame(peer, 0x15)
  assert.deepEqual([blocked.numbers, blocked.sum], [numbersOf('more on 0'), 131072])
  // The rest of the connection's MiB goes by other streams.
  const ids = ['04', '08', '0c']
  for (const id of ids) {
    client.StreamPool.createStream(null, (each) => each.write(Buffer.alloc(262144 - 5)))
    await peer.expects(record(`38 ${id} ${NULL}`))
  }
  for (const id of ids) peer.send(record(`38 ${id} 00`))
  blocked = await nextFrame(peer, 0x14)
  assert.deepEqual(blocked.numbers, numbersOf('blocked in all'))
  // Some credit may be left, since it does not suffice for a whole message.
  const most = 1048576 - 393216 - 3 * 5
  assert.ok(blocked.sum > most - 3 * 65536 && blocked.sum <= most, `${blocked.sum} of ${most}`)
  peer.send(example('more in all'))
  // Now each comes to the end of its own credit.
  for (let left = 3 * (262144 - 5) - blocked.sum; left > 0;) {
    for (const { data } of await peer.frames()) left -= data.length
  }
})

test('places for streams', async (t) => {
  const { con, peer } = await startedServer(t)
  con.on('stream', (each) => each.resume())
  for (let id = 0; id < 4 * 128; id += 4) {
    const number = varint(id).toString('hex')
    peer.send(record(`38 ${number} ${NULL}`))
    await peer.expects(record(`38 ${number} 00`))
  }
  peer.send(example('end 0 on QMux'))
  assert.deepEqual((await nextFrame(peer, 0x12)).numbers, numbersOf('more streams'))

  const { client, peer: other } = await startedClient(t, { maxStreams: 1000 })
  for (let count = 0; count < 257; count++) client.StreamPool.createStream(null, () => {})
  const blocked = await nextFrame(other, 0x16)
  assert.deepEqual([blocked.numbers, blocked.sum], [numbersOf('blocked from opening'), 256 * 5])
  other.send(example('more streams'))
  assert.deepEqual((await other.frames()).map(({ numbers }) => numbers[0]), [4 * 256])
})

test('what an end says that waits is no error', async (t) => {
  const { peer } = await openedServer(t)
  for (const name of ['blocked on 0', 'blocked in all', 'blocked from opening']) peer.send(example(name))
  peer.send(example('ping 0'))
  await peer.expects(example('pong 0'))
})

// ---- pings and ends -----------------------------------------------------------------------------------------------

test('pings', async (t) => {
  const { con, peer } = await openedServer(t)
  peer.send(example('ping 0'))
  await peer.expects(example('pong 0'))
  const answered = con.ping()
  await peer.expects(example('ping 0'))
  peer.send(example('pong 0'))
  assert.ok(await within(answered, 'the answer') > 0)
})

test('a connection that is closed with a code', async (t) => {
  const { con, peer } = await openedServer(t)
  con.close(5, 'bye')
  assert.deepEqual(await peer.rest(), example('close 5 bye'))

  const { client, peer: other } = await openedClient(t)
  const failed = nextEvent(client, 'error')
  other.send(example('close 5 bye'))
  const [error] = await failed
  assert.deepEqual([error.code, error.closeCode, error.application], ['ERR_MUX_CLOSED_BY_PEER', 5, true])
  assert.match(error.message, /bye/)
})

test('a connection that is closed for an error of the peer\'s', async (t) => {
  const { server, peer } = await openedServer(t)
  const reported = nextEvent(server, 'connectionError')
  peer.send('00')
  assert.deepEqual(await peer.rest(), example('close for an error'))
  assert.equal((await reported)[0].code, 'ERR_MUX_PROTOCOL_VIOLATION')

  const { client, peer: other } = await openedClient(t)
  const failed = nextEvent(client, 'error')
  other.send(example('close for an error'))
  const [error] = await failed
  assert.deepEqual([error.code, error.closeCode, error.application], ['ERR_MUX_CLOSED_BY_PEER', 10, false])
})

// ---- foreign peers ------------------------------------------------------------------------------------------------

test('a foreign peer', async (t) => {
  const { client, con, peer } = await startedClient(t, {}, example('first record of a foreign peer'))
  const stream = await within(client.StreamPool.createStream({ not: 'told' }), 'the stream')
  await peer.expects(example('open 0 at a foreign peer'))
  assert.equal(con.stats().peer, 'foreign')
  stream.write(Buffer.from('hi'))
  await peer.expects(example('hi on 0 to a foreign peer'))
  stream.write(Buffer.from('yo'))
  await peer.expects(example('yo on 0 to a foreign peer'))
  stream.end()
  await peer.expects(example('end 0 at a foreign peer'))

  const { con: ours, peer: other } = await startedServer(t, {}, example('first record of a foreign peer'))
  const announced = nextEvent(ours, 'stream')
  for (const name of ['open 0 at', 'hi on 0 to', 'yo on 0 to', 'end 0 at']) other.send(example(`${name} a foreign peer`))
  const [theirs] = await announced
  assert.equal(theirs.meta, undefined)
  assert.equal((await collect(theirs)).chunks.join(''), 'hiyo')
  await other.expects('02 09 00') // STREAM 0 without an offset, FIN
  ours.end()
  await other.expects('03 1d 00 00')
})

// ---- tables -------------------------------------------------------------------------------------------------------

const bare = (cell) => cell.replace(/^`|`$/g, '')

test('the parameters in the table are those that are sent', () => {
  const rows = document.table('id', 'name', 'absent', 'we send (default)')
  const sent = new Map()
  let rest = example('first record').subarray(11)
  const take = () => {
    const size = 1 << (rest[0] >> 6)
    const bytes = rest.subarray(0, size)
    const number = BigInt.asUintN(8 * size - 2, bytes.reduce((sum, byte) => sum << 8n | BigInt(byte), 0n))
    rest = rest.subarray(size)
    return number
  }
  while (rest.length > 0) {
    const id = take()
    take() // the length, which the number tells by itself
    sent.set(id, take())
  }
  for (const [id, name, , ours] of rows) {
    const value = sent.get(BigInt(id))
    const number = /([\d,]+)$/.exec(ours)?.[1].replaceAll(',', '')
    assert.equal(value?.toString(), /if not 0/.test(ours) ? undefined : number, name)
    sent.delete(BigInt(id))
  }
  assert.deepEqual([...sent.keys()], [])
})

test('the types of frames in the table are those of the code', () => {
  const inRust = [...read('src/proto/qmux/frame.rs').matchAll(/^pub const (\w+): u64 = (0x[\d_a-f]+);/gm)]
    .map(([, name, value]) => [name, BigInt(value.replaceAll('_', ''))])
    .filter(([name]) => !name.startsWith('DATAGRAM'))
  const inDocument = document.table('type', 'name', 'fields', 'we send it').map(([type, name]) => [name, BigInt(type)])
  assert.deepEqual(inDocument, inRust)
})

test('the defaults of the limits are those of the options', () => {
  for (const [option, value] of document.table('option', 'default', 'why')) {
    assert.equal(Number(value.replaceAll(',', '')), CONNECTION_DEFAULTS[bare(option)], option)
  }
})

test('the codes of errors of the peer\'s are the same in Rust, in JavaScript and in docs/PROTOCOL.md', () => {
  const rust = read('src/proto/error.rs')
  const rows = document.table('code', 'wire', 'what the peer did').map(([code, wire]) => [bare(code), wire])
  const inRust = [...new Set(rust.match(/ERR_MUX_[A-Z_]+/g))].sort()
  assert.deepEqual(rows.map(([code]) => code).sort(), inRust)
  assert.deepEqual([...require('../../lib/errors.js').PEER_CODES].sort(), inRust)

  const numbers = new Map([...rust.matchAll(/^ {4}(\w+) = (\w+),$/gm)].map(([, name, value]) => [name, Number(value)]))
  const told = new Map([...rust.matchAll(/Violation::(\w+) => "(\w+)"/g)].map(([, name, code]) => [code, numbers.get(name)]))
  assert.equal(told.size, numbers.size)
  for (const [code, wire] of rows) {
    if (code === 'ERR_MUX_CLOSED_BY_PEER' || code.endsWith('_TIMEOUT')) assert.equal(wire, '–')
    else assert.equal(Number(wire), told.get(code) ?? numbers.get('Protocol'), code)
  }
})

test('each block of bytes of docs/PROTOCOL.md was looked at', () => {
  assert.deepEqual([...document.unused], [])
})
