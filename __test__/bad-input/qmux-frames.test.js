'use strict'

// Frames that the protocol forbids, each on a connection of its own: it ends with the code that RFC 9000 or the draft gives
// it, both ends are told, and the neighbour goes on.

const test = require('node:test')
const { MAX, down, everywhere, frames: f, ids, join, numbers, parameter, parameters, record, siege, up, varint } = require('../support/qmux-wire.js')

const PROTOCOL = [0x0a, 'ERR_MUX_PROTOCOL_VIOLATION']
const ENCODING = [7, 'ERR_MUX_FRAME_ENCODING']
const STATE = [5, 'ERR_MUX_STREAM_STATE']
const COUNT = [4, 'ERR_MUX_STREAM_COUNT']
const FLOW = [3, 'ERR_MUX_FLOW_CONTROL']
const FINAL_SIZE = [6, 'ERR_MUX_FINAL_SIZE']
const PARAMETER = [8, 'ERR_MUX_TRANSPORT_PARAMETER']
const JSON_INVALID = [0x0a, 'ERR_MUX_JSON_INVALID']

// id of the first stream, and its opening: 5 bytes
const one = up(0)
const opened = f.open(one)

async function all (t, options, cases) {
  const { refuses, check } = await siege(t, options)
  for (const [what, frames, [number, code]] of cases) await refuses(frames, number, code, what)
  await check()
}

everywhere(test, 'offsets that leave a gap or overlap', (t, route) => all(t, route, [
  ['a gap', [opened, f.stream(one, 6, 'x')], PROTOCOL],
  ['a gap in the first frame', f.stream(one, 1, 'x'), PROTOCOL],
  ['an overlap', [opened, f.stream(one, 4, 'x')], PROTOCOL],
  ['a part once more', [f.stream(one, 0, '\x04null'), f.stream(one, 0, '\x04null')], PROTOCOL],
  ['a gap in front of an end', [opened, f.stream(one, 6, '', { fin: true })], PROTOCOL],
  ['an offset of 2^62-1', [opened, f.stream(one, MAX, 'x')], PROTOCOL],
  ['a gap behind frames without an offset', [opened, f.message(one, 'abc'), f.stream(one, 5, 'x')], PROTOCOL]
]))

everywhere(test, 'sums near 2^62', (t, route) => all(t, route, [
  ['a final size of 2^62-1', [opened, f.reset(one, 0, MAX)], FLOW],
  ['a final size of 2^62-1 in the first frame', f.reset(one, 0, MAX), FLOW],
  ['a final size one over the credit', [opened, f.reset(one, 0, 256 * 1024 + 1)], FLOW],
  ['final sizes within the credit of each stream, and over that of all', [0, 1, 2, 3, 4].map((n) => f.reset(up(n), 0, 256 * 1024)), FLOW],
  ['a final size below what came', [opened, f.reset(one, 0, 4)], FINAL_SIZE],
  ['a stream of the highest id', f.message(MAX - 3n, 'x'), COUNT],
  ['a reset of the highest id', f.reset(MAX - 3n), COUNT],
  ['a stop of the highest id', f.stop(MAX - 3n), COUNT],
  ['a blocked stream of the highest id', f.streamDataBlocked(MAX - 3n, MAX), COUNT],
  ['a limit for the highest id', f.maxStreamData(MAX - 3n, MAX), COUNT],
  ['more streams than there can be', f.maxStreams(2n ** 60n + 1n), ENCODING],
  ['more streams of one direction than there can be', f.maxStreamsUni(2n ** 60n + 1n), ENCODING],
  ['waiting for more streams than there can be', f.streamsBlocked(2n ** 60n + 1n), ENCODING]
]))

everywhere(test, 'limits of 2^62-1 are fine, and nothing is added to them', async (t, route) => {
  const { open, check } = await siege(t, route)
  const limits = { maxData: MAX, maxStreamDataLocal: MAX, maxStreamDataRemote: MAX, maxStreams: 2n ** 60n, idleTimeout: MAX, maxRecord: MAX }
  const { peer, con } = await open({ parameters: limits, prepare: (con) => con.on('stream', (stream) => stream.on('data', (chunk) => stream.write(chunk))) })
  peer.send(f.maxData(MAX), f.maxStreams(2n ** 60n), opened, f.maxStreamData(one, MAX), f.message(one, 'there and back'))
  const back = await peer.bytes(one, 15)
  if (back.toString() !== '\0there and back') throw new Error(`${back} came back`)
  con.StreamPool.createStream('ours').catch(() => {})
  await peer.next('stream')
  await peer.roundTrip(1)
  await check()
})

everywhere(test, 'streams that may not be', (t, route) => all(t, route, [
  ['one over the count', f.open(up(256)), COUNT],
  ['one over the count, named by a stop', f.stop(up(256)), COUNT],
  ['one over the count behind the last that is allowed', [f.open(up(255)), f.open(up(256))], COUNT],
  ['one of one direction', f.message(2, 'x'), COUNT],
  ['a blocked one of one direction', f.streamDataBlocked(2, 0), COUNT],
  ['our side of one of one direction', f.message(3, 'x'), STATE],
  ['a reset of our side of one of one direction', f.reset(3), STATE],
  ['a stop of our side of one of one direction', f.stop(3), STATE],
  ['a stop where we do not send', f.stop(2), STATE],
  ['credit where we do not send', f.maxStreamData(2, 5), STATE],
  ['data for one that we never opened', f.message(down(0), 'x'), STATE],
  ['an end value for one that we never opened', f.endValue(down(0)), STATE],
  ['an end value for one that the peer never opened', f.endValue(one), STATE],
  ['a reset of one that we never opened', f.reset(down(0)), STATE],
  ['a stop of one that we never opened', f.stop(down(0)), STATE],
  ['credit for one that we never opened', f.maxStreamData(down(0), 5), STATE],
  ['a notice of one that we never opened', f.streamDataBlocked(down(0), 5), STATE],
  ['data behind the end', [f.open(one, 'null', '', { fin: true }), f.message(one, 'x')], FINAL_SIZE],
  ['a second end', [f.open(one, 'null', '', { fin: true }), f.message(one, '', { fin: true })], STATE],
  ['data behind a reset', [opened, f.reset(one, 0, 5), f.message(one, 'x')], FINAL_SIZE],
  ['a reset behind the end', [f.open(one, 'null', '', { fin: true }), f.reset(one, 0, 6)], FINAL_SIZE],
  ['another reset', [opened, f.reset(one, 0, 7), f.reset(one, 0, 8)], FINAL_SIZE],
  ['a second announcement of an end value', [opened, f.endValue(one), f.endValue(one)], STATE],
  ['an end value within the meta', [f.message(one, '\x04nu'), f.endValue(one)], STATE],
  ['an end within the meta', f.message(one, '\x04nu', { fin: true }), PROTOCOL],
  ['an end instead of a meta', f.message(one, '', { fin: true }), PROTOCOL],
  ['an empty meta', f.message(one, '\0'), JSON_INVALID],
  ['a meta that is not JSON', f.open(one, 'nul'), JSON_INVALID],
  ['a meta too long, as announced', f.message(one, join(varint(4 * 2 ** 20 + 1), '1')), [0x0a, 'ERR_MUX_JSON_TOO_LARGE']],
  ['a meta of 2^62-1 bytes, as announced', f.message(one, join(varint(MAX), '1')), [0x0a, 'ERR_MUX_JSON_TOO_LARGE']],
  ['a meta too deep', f.open(one, '['.repeat(600) + ']'.repeat(600)), [0x0a, 'ERR_MUX_JSON_TOO_DEEP']],
  ['an end value that is not JSON', [opened, f.endValue(one), f.message(one, '{', { fin: true })], JSON_INVALID],
  ['an end value of nothing', [opened, f.endValue(one), f.message(one, '', { fin: true })], JSON_INVALID]
]))

everywhere(test, 'records and frames that are malformed', async (t, route) => {
  const { open, ends, check } = await siege(t, route)
  const unknown = [0x01, 0x02, 0x03, 0x06, 0x07, 0x18, 0x19, 0x1a, 0x1b, 0x1e, 0x1f, 0x24, 0x32, 0x3f, 0x40, 2n ** 62n - 1n]
  const cases = [
    ['an empty record', [0], PROTOCOL],
    ['a record one byte too long, before it comes', varint(64 * 1024 + 17), ENCODING],
    ['a record of 2^62-1 bytes, before it comes', varint(MAX), ENCODING],
    ['a frame that is longer than its record', record(join([0x0a], numbers(one, 100), 'x')), ENCODING],
    ['a frame of 2^62-1 bytes', record(join([0x0a], numbers(one, MAX), 'x')), ENCODING],
    ['a reason that is longer than its record', record(numbers(0x1d, 0, 5), 'abc'), ENCODING],
    ['a reason of 2^62-1 bytes', record(numbers(0x1d, 0, MAX)), ENCODING],
    ['a header cut short by the end of its record', join(record([0x08]), record(f.ping(1))), ENCODING],
    ['a type cut short by the end of its record', join(record([0x7f]), record(f.ping(1))), ENCODING],
    ['a message without a length whose id the next record would hold', join(record([0x38]), record(f.ping(1))), ENCODING],
    ['a type in more bytes than it needs', record(varint(0x10, 2), numbers(5)), PROTOCOL],
    ['a padding in eight bytes', record(varint(0, 8)), PROTOCOL],
    ['a datagram', record([0x30, 1, 2, 3]), PROTOCOL],
    ['a datagram with a length', record([0x31, 1, 2]), PROTOCOL],
    ...unknown.map((type) => [`an unknown frame 0x${type.toString(16)}`, record(varint(type), Buffer.alloc(20)), ENCODING]),
    ['parameters for the second time', record(f.parameters()), PROTOCOL],
    ['a ping that does not grow', record(f.ping(5), f.ping(5)), PROTOCOL],
    ['a ping that shrinks', record(f.ping(5), f.ping(0)), PROTOCOL],
    ['an answer to a ping that was never sent', record(f.pong(1000)), PROTOCOL],
    ['an answer to ping 2^62-1', record(f.pong(MAX)), PROTOCOL],
    ['a go-away that grows', record(f.goAway(3), f.goAway(4)), PROTOCOL],
    ['a go-away that grows to 2^62-1', record(f.goAway(0), f.goAway(MAX)), PROTOCOL]
  ]
  for (const [what, bytes, [number, code]] of cases) {
    const attacker = await open()
    attacker.wire.send(Buffer.from(bytes))
    await ends(attacker, number, code, what)
  }
  await check()
})

everywhere(test, 'the same found byte by byte', async (t, route) => {
  const { open, ends, check } = await siege(t, route)
  for (const [bytes, [number, code]] of [
    [record(opened, f.stream(one, 6, 'x')), PROTOCOL],
    [record(join([0x0a], numbers(one, 100), 'x')), ENCODING],
    [join(record([0x08]), record(f.ping(1))), ENCODING],
    [join(record([0x38]), record(f.ping(1))), ENCODING],
    [varint(MAX), ENCODING],
    [record(f.reset(one, 0, MAX)), FLOW]
  ]) {
    const attacker = await open()
    await attacker.wire.dribble(bytes)
    await ends(attacker, number, code, bytes.toString('hex'))
  }
  await check()
})

test('more than the credit of a stream or of all, in the first frame and later', async (t) => {
  for (const protocol of ['auto', 'qmux']) {
    await all(t, { protocol, streamWindow: 1000, connectionWindow: 1500 }, [
      ['the very first frame', f.stream(one, 0, Buffer.alloc(1001)), FLOW],
      ['the very first frame, without an offset', f.message(one, Buffer.alloc(1001)), FLOW],
      ['the very first frame, to the end of its record', f.message(one, Buffer.alloc(1001), { length: false }), FLOW],
      ['one byte over', [opened, f.message(one, Buffer.alloc(500)), f.message(one, Buffer.alloc(496))], FLOW],
      ['of all streams', [f.open(up(0), 'null', Buffer.alloc(900)), f.open(up(1), 'null', Buffer.alloc(900))], FLOW],
      ['within a meta', f.message(one, join(varint(5000), Buffer.alloc(1000, '1'))), FLOW],
      ['by a reset', [opened, f.reset(one, 0, 1001)], FLOW],
      ['by resets of several streams', [f.reset(up(0), 0, 1000), f.reset(up(1), 0, 501)], FLOW]
    ])
  }
})

everywhere(test, 'answers to our stream that are wrong', async (t, route) => {
  const { open, ends, check } = await siege(t, route)
  const answer = async (bytes, options) => {
    const attacker = await open()
    const opening = attacker.con.StreamPool.createStream('ours')
    opening.catch(() => {})
    const { id } = await attacker.peer.next('stream')
    attacker.peer.send(f.message(id, Buffer.from(bytes), options))
    return { ...attacker, opening }
  }
  for (const byte of [2, 3, 0x40, 0x80, 0xff]) await ends(await answer([byte]), ...PROTOCOL)
  await ends(await answer([], { fin: true }), ...PROTOCOL)
  await ends(await answer([1], { fin: true }), ...PROTOCOL)
  await ends(await answer([1, 0x40], { fin: true }), ...PROTOCOL)
  await check()
})

test('parameters that are wrong', async (t) => {
  for (const protocol of ['auto', 'qmux']) {
    const { connect, ends, check } = await siege(t, { protocol })
    const cases = [
      ['a number twice', join(parameters(), parameter(ids.maxData, 5))],
      ['an unknown one twice', join(parameters(), parameter(58, Buffer.from('a')), parameter(58, Buffer.from('b')))],
      ['one cut short', parameters().subarray(0, -1)],
      ['one cut short before its length', join(parameters(), varint(58))],
      ['one whose length is 2^62-1', join(parameters(), numbers(58, MAX))],
      ['a number with bytes behind it', parameter(ids.maxData, Buffer.from([5, 5]))],
      ['a number of no bytes', parameter(ids.maxData, Buffer.alloc(0))],
      ['more streams than there can be', parameter(ids.maxStreams, 2n ** 60n + 1n)],
      ['more streams of one direction than there can be', parameter(ids.maxStreamsUni, 2n ** 60n + 1n)],
      ['records below 16382 bytes', parameter(ids.maxRecord, 16381)],
      ...[0x00, 0x02, 0x03, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10].map((id) => [`parameter ${id}`, parameter(id, 1)]),
      ['over 4096 bytes', parameter(58, Buffer.alloc(4096))]
    ]
    for (const [what, encoded] of cases) {
      const attacker = await connect()
      attacker.peer.send(f.parameters(encoded))
      await ends(attacker, ...PARAMETER, what)
    }
    await check()
  }
})
