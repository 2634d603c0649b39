'use strict'

// The way to QMux, walked wrongly: what comes first, offers, switches, and what an attacker may do between them.

const test = require('node:test')
const assert = require('node:assert/strict')
const {
  QmuxPeer, besiege, decode, expectSwitch, frames: f, join, offer, parameters, readOffer, record, siege, switchTo, up, varint
} = require('../support/qmux-wire.js')
const { hex, frame, connectWire } = require('../support/wire.js')
const { arena } = require('../support/healthy.js')
const { nextEvent, eventually, settled } = require('../support/events.js')

const AUTO = { protocol: 'auto' }

// Negotiates up to and without the attacker's switch.
async function offered (siege, encoded) {
  const attacker = await siege.connect()
  attacker.wire.send(offer(encoded))
  const { nonce } = await readOffer(attacker.wire)
  await expectSwitch(attacker.wire)
  return { ...attacker, nonce }
}

test('offers that are not acceptable', async (t) => {
  const { connect, fails, check } = await siege(t, AUTO)
  const good = offer()
  const payload = good.subarray(6)
  const cases = [
    ['longer than 1024 bytes', frame(0, 0xf0, Buffer.concat([payload], 1025))],
    ['announced longer than 1024 bytes', hex('00000407 00 f0')],
    ['announced with four GiB', join(hex('ffffffff 00 f0'), Buffer.alloc(10))],
    ['with another magic', frame(0, 0xf0, join('TSMY', payload.subarray(4)))],
    ['with more versions than bytes', frame(0, 0xf0, hex('54534d58 ff 01'))],
    ['with parameters of 2^62-1 bytes', frame(0, 0xf0, join(payload.subarray(0, 14), varint(2n ** 62n - 1n)))],
    ['empty', frame(0, 0xf0)],
    ['twice', join(good, good)],
    ['behind another frame', join(frame(0, 2, 'null'), good)],
    ['without our mapping', offer(parameters({ mapping: undefined }))],
    ...Array.from({ length: payload.length }, (_, length) => [`cut at ${length}`, frame(0, 0xf0, payload.subarray(0, length))])
  ]
  for (const [what, bytes] of cases) {
    const attacker = await connect()
    attacker.wire.send(bytes)
    await fails(attacker, 'ERR_MUX_OFFER', what)
  }
  const attacker = await connect()
  attacker.wire.send(offer(join(parameters(), parameters())))
  await fails(attacker, 'ERR_MUX_TRANSPORT_PARAMETER', 'with wrong parameters')
  await check()
})

test('switches that are not acceptable', async (t) => {
  const arena = await siege(t, AUTO)
  const { connect, fails, ends, check } = arena
  const early = await connect()
  early.wire.send(switchTo(hex('0102030405060708')))
  await fails(early, 'ERR_MUX_SWITCH', 'without an offer')
  const cases = [
    ['of another nonce', () => switchTo(hex('0102030405060708'))],
    ['of another version', (nonce) => frame(0, 0xf1, join(hex('54534d58 02'), nonce))],
    ['of another magic', (nonce) => frame(0, 0xf1, join(hex('54534d59 01'), nonce))],
    ['too short', (nonce) => frame(0, 0xf1, join(hex('54534d58 01'), nonce.subarray(1)))],
    ['too long', (nonce) => frame(0, 0xf1, join(hex('54534d58 01'), nonce, [0]))],
    ['announced with four GiB', () => hex('ffffffff 00 f1')]
  ]
  for (const [what, bytes] of cases) {
    const attacker = await offered(arena)
    attacker.wire.send(bytes(attacker.nonce))
    // This end sends records already.
    await ends(attacker, 0x0a, 'ERR_MUX_SWITCH', what)
  }
  // A second one is no record.
  const twice = await offered(arena)
  twice.wire.send(join(switchTo(twice.nonce), switchTo(twice.nonce)))
  await ends(twice, 0x0a, 'ERR_MUX_PROTOCOL_VIOLATION', 'twice')
  const again = await offered(arena)
  again.wire.send(offer())
  await ends(again, 0x0a, 'ERR_MUX_OFFER', 'a second offer instead')
  await check()
})

test('what follows a switch and is not our parameters', async (t) => {
  const arena = await siege(t, AUTO)
  const other = parameters({ maxData: 7 })
  const violation = [0x0a, 'ERR_MUX_PROTOCOL_VIOLATION']
  const cases = [
    ['other parameters than in the offer', record(f.parameters(other)), violation],
    ['fewer of them', record(f.parameters(parameters().subarray(0, -10))), violation],
    ['none of them', record(f.parameters(Buffer.alloc(0))), violation],
    ['a message', record(f.open(up(0))), violation],
    ['padding in front of them', record(f.padding(), f.parameters()), violation],
    ['a ping', record(f.ping(0)), violation],
    ['a close', record(f.close(0)), violation],
    ['parameters of over 4096 bytes', record(f.parameters(Buffer.alloc(4097))), [8, 'ERR_MUX_TRANSPORT_PARAMETER']],
    ['an empty record', [0], violation],
    ['a legacy frame', frame(0, 2, 'null'), violation],
    ['a record too long', varint(100_000), [7, 'ERR_MUX_FRAME_ENCODING']]
  ]
  for (const [what, bytes, codes] of cases) {
    const attacker = await offered(arena)
    attacker.wire.send(join(switchTo(attacker.nonce), bytes))
    await arena.ends(attacker, ...codes, what)
  }
  await arena.check()
})

test('a message for a stream from before the switch is no substitute for parameters, wherever a read ends', async (t) => {
  const arena = await siege(t, AUTO)
  const taken = []
  const attacker = await arena.connect((con) => con.on('stream', (stream) => stream.on('data', (chunk) => taken.push(chunk))))
  const { wire } = attacker
  wire.send(join(offer(), frame(0, 2, 'null')))
  const { nonce } = await readOffer(wire)
  await expectSwitch(wire)
  wire.send(switchTo(nonce))
  const message = record(f.message(up(0), 'too early'))
  await wire.dribble(message.subarray(0, 1))
  await eventually(() => attacker.con.bytesRead === wire.socket.bytesWritten, 'the size of the record to be read')
  wire.send(message.subarray(1))
  await arena.ends(attacker, 0x0a, 'ERR_MUX_PROTOCOL_VIOLATION')
  assert.deepEqual(taken, [])
  await arena.check()
})

test('legacy frames that a peer that switches may not send', async (t) => {
  const arena = await siege(t, AUTO)
  const cases = [
    ['an acknowledgement', frame(255, 4, 'null'), 'ERR_MUX_UNKNOWN_STREAM'],
    ['data for no stream', frame(0, 0, 'x'), 'ERR_MUX_UNKNOWN_STREAM'],
    ['an id twice', join(frame(0, 2, '1'), frame(0, 2, '1')), 'ERR_MUX_STREAM_IN_USE'],
    ['a length of 0', hex('00000000 00 00'), 'ERR_MUX_FRAME_LENGTH'],
    ['a meta that is not JSON', frame(0, 2, 'x'), 'ERR_MUX_JSON_INVALID']
  ]
  for (const [what, bytes, code] of cases) {
    const attacker = await offered(arena)
    attacker.wire.send(bytes)
    await arena.ends(attacker, 0x0a, code, what)
  }
  // An end on the legacy wire is the end: nothing more may come on that stream.
  const attacker = await offered(arena)
  attacker.wire.send(join(frame(0, 2, 'null'), frame(0, 3, 'null'), switchTo(attacker.nonce)))
  attacker.peer.send(f.parameters())
  attacker.peer.send(f.message(up(0), 'x'))
  await arena.ends(attacker, 6, 'ERR_MUX_FINAL_SIZE')
  await arena.check()
})

test('a connection that ends on the way', async (t) => {
  const arena = await siege(t, AUTO)
  const { connect, fails, open, check } = arena
  for (const bytes of [offer().subarray(0, 30), record(f.parameters()).subarray(0, 10), record(f.parameters()).subarray(0, 30)]) {
    const attacker = await connect()
    attacker.wire.send(bytes).finish()
    await fails(attacker, 'ERR_MUX_FRAME_TRUNCATED', bytes.toString('hex'))
  }
  for (const bytes of [record(f.ping(1)).subarray(0, 3), record(f.open(up(0), 'null', 'abc')).subarray(0, -1), varint(5000, 8).subarray(0, 4)]) {
    const attacker = await open()
    attacker.wire.send(bytes).finish()
    await fails(attacker, 'ERR_MUX_FRAME_TRUNCATED', bytes.toString('hex'))
  }
  await check()
})

test('a server on qmux takes nothing else, one on legacy no record, and one that has offered neither', async (t) => {
  const qmux = await siege(t, { protocol: 'qmux' })
  for (const bytes of [offer(), frame(0, 2, 'null'), record(f.ping(1)), Buffer.alloc(100), hex('20 ff51')]) {
    const attacker = await qmux.connect()
    attacker.wire.send(bytes)
    if (bytes.length < 9) attacker.wire.finish()
    await qmux.fails(attacker, bytes.length < 9 ? 'ERR_MUX_FRAME_TRUNCATED' : 'ERR_MUX_NOT_QMUX', bytes.toString('hex'))
  }
  await qmux.check()
  const legacy = await arena(t, { protocol: 'legacy' })
  await legacy.refuses(record(f.parameters()), 'ERR_MUX_QMUX_START')
  await legacy.healthy.check()
  const auto = await siege(t, AUTO)
  const attacker = await auto.connect((con) => con.StreamPool.createStream('before the peer spoke').catch(() => {}))
  await readOffer(attacker.wire)
  attacker.wire.send(record(f.parameters()))
  await auto.fails(attacker, 'ERR_MUX_QMUX_START')
  await auto.check()
})

test('sixteen bytes decide, and who sends fewer costs nobody anything', async (t) => {
  const { server, check } = await siege(t, AUTO)
  const start = record(f.parameters())
  const peers = []
  for (let length = 1; length < 10; length++) {
    const accepted = nextEvent(server, 'connection')
    const wire = await connectWire(t, server.address().port)
    wire.send(start.subarray(0, length))
    peers.push([wire, (await accepted)[0], length])
  }
  await eventually(() => peers.every(([, con, length]) => con.bytesRead === length), 'all is read')
  await check()
  for (const [wire, , length] of peers) {
    wire.send(start.subarray(length))
    assert.equal((await new QmuxPeer(wire).next()).kind, 'parameters')
  }
})

test('records decode as they are encoded', () => {
  const all = [f.ping(5), f.open(4, '1', 'x'), f.stream(8, 70_000, 'y', { fin: true }), f.reset(4, 2n ** 50n, 1), f.close(7, 'why')]
  const kinds = decode(join(...all)).map(({ kind }) => kind)
  assert.deepEqual(kinds, ['ping', 'stream', 'stream', 'reset', 'close'])
})

// An attacker that has offered and ignores what it is told.
async function intruder (t) {
  const server = await besiege(t, 'ignore')
  const wire = await server.connect()
  wire.send(offer())
  await readOffer(wire)
  await expectSwitch(wire)
  const peer = new QmuxPeer(wire)
  peer.discard()
  return { server, peer, taken: () => peer.socket.bytesWritten - peer.socket.writableLength }
}

test('bytes of a peer that offers and never switches stay within what may be held', async (t) => {
  const { server, peer, taken } = await intruder(t)
  const block = join(...Array(16).fill(frame(0, 0, Buffer.alloc(65536))))
  peer.wire.send(frame(0, 2, 'null'))
  await Promise.race([peer.pour(200, block), settled(taken)])
  // maxHeld is 64 MiB.
  await server.stays(64 + 64, '200 MiB on one stream')
  await server.servesOthers()
})

test('streams of a peer that offers and never switches stay within a bound', async (t) => {
  const { server, peer, taken } = await intruder(t)
  const openAndEnd = join(frame(0, 2, '1'), frame(0, 0, 'x'), frame(0, 3, 'null'))
  await Promise.race([peer.pour(400, join(...Array(1000).fill(openAndEnd))), settled(taken)])
  // All of it was read, or for a while no more of it.
  let [last, same] = [-1, 0]
  await server.until(({ connections, read }) => {
    same = read === last ? same + 1 : 0
    last = read
    return connections === 0 || read >= peer.socket.bytesWritten || same > 50
  }, 'the end of it')
  await server.stays(64, '400,000 streams opened and ended')
  await server.servesOthers()
})
