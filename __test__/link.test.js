'use strict'

// A connection's life against a fake native side: records in, events out.

const test = require('node:test')
const assert = require('node:assert/strict')
const { connected, uncaught } = require('./support/fake-engine.js')
const { kind, op } = require('../lib/boundary.js')
const engine = require('../lib/engine.js')
const { nextEvent, turn } = require('./support/events.js')

const { STREAM, END, CLOSED, CONN_END, CONN_ERROR, CONN_CLOSE } = kind

test.beforeEach(async () => {
  for (let count = 0; count < 3; count++) await turn()
})

function link (options) {
  const side = connected(options)
  const events = []
  for (const name of ['end', 'finish', 'close', 'timeout']) side.con.on(name, (...args) => events.push([name, ...args]))
  return {
    ...side,
    events,
    push: (kind, ...args) => side.fake.push(kind, side.number, ...args),
    sent: (code) => { engine.flush(); return side.fake.take(code) }
  }
}

const RESET = '{"origin":"system","errno":-104,"syscall":"read"}'

// The first test: the connections of the others stay open, and hold the loop, too.
test('an open connection holds the loop, unref lets it go once all is sent, and its end for good', async () => {
  const { con, fake, push, number, sent } = link()
  const calls = () => fake.calls.splice(0).filter(([name]) => name === 'setRef').map(([, value]) => value)
  assert.deepEqual(calls(), [true])
  con.unref()
  assert.deepEqual(calls(), [])
  const settle = () => {
    for (const { argument } of sent(op.MARK)) fake.push(kind.MARK, number, 0, '', argument)
    fake.wake()
  }
  settle()
  assert.deepEqual(calls(), [false])
  // A write holds it again, until the kernel has it.
  con.StreamPool.createStream('more')
  assert.deepEqual(calls(), [true])
  settle()
  assert.deepEqual(calls(), [false])
  con.ref()
  assert.deepEqual(calls(), [true])
  push(CONN_CLOSE, 0, '{}')
  fake.wake()
  assert.deepEqual(calls(), [false])
})

test('a stream is announced before it is acknowledged, also when a listener throws', () => {
  const { client, fake, push } = link()
  const accepted = []
  client.on('stream', (stream) => {
    engine.flush()
    accepted.push(fake.sent.filter((command) => command.op === op.ACCEPT).length)
    if (stream.meta === 'bad') throw new Error('listener')
  })
  push(STREAM, 1, '"good"', 0)
  push(STREAM, 3, '"bad"', 1)
  assert.throws(() => fake.wake(), /listener/)
  assert.deepEqual(fake.take(op.ACCEPT).map(({ stream }) => stream), [1, 3])
  assert.deepEqual(accepted, [0, 1])
})

test('a closed stream of the peer\'s is forgotten, and counts until its end', () => {
  const { con, client, fake, push, sent } = link()
  client.on('stream', (stream) => stream.resume())
  push(STREAM, 1, '1', 0)
  fake.wake()
  assert.equal(con.stats().streamsLive, 1)
  push(END, 1)
  fake.wake()
  assert.equal(con.stats().streamsLive, 0)
  push(CLOSED, 1)
  fake.wake()
  assert.deepEqual(sent(op.FORGET).map(({ stream }) => stream), [1])
})

test('text that JSON.parse refuses ends the connection, when it is looked at, as the peer\'s fault', async () => {
  const { client, con, fake, push } = link()
  const failed = nextEvent(client, 'error')
  client.on('stream', (stream) => assert.equal(stream.meta, undefined))
  push(STREAM, 1, '{', 0)
  fake.wake()
  assert.equal((await failed)[0].code, 'ERR_MUX_JSON_INVALID')
  assert.equal(con.destroyed, true)
})

test('the peer\'s end comes behind that of its streams, and ends this side too', async () => {
  const { client, fake, push, sent, events } = link()
  client.on('stream', (stream) => stream.resume().on('end', () => events.push(['stream end'])))
  push(STREAM, 1, '1', 0)
  push(END, 1)
  push(CONN_END)
  push(CONN_CLOSE, 0, '{"bytesRead":1,"bytesWritten":2}')
  fake.wake()
  await turn()
  await turn()
  assert.deepEqual(events, [['stream end'], ['end'], ['close', false]])
  assert.deepEqual(sent(op.CONN_END), []) // it was closed already
})

test('after the peer\'s end our own follows, unless allowHalfOpen', async () => {
  for (const allowHalfOpen of [false, true]) {
    const { fake, push, sent, events } = link({ allowHalfOpen })
    push(CONN_END)
    fake.wake()
    await turn()
    assert.deepEqual(events, [['end']])
    assert.equal(sent(op.CONN_END).length, allowHalfOpen ? 0 : 1)
  }
})

test('streams the peer leaves open at its end are cut off, those it ended are left to their readers', async () => {
  const { client, fake, push } = link({ allowHalfOpen: true })
  const streams = []
  client.on('stream', (stream) => streams.push(stream.pause()))
  push(STREAM, 1, '1', 0)
  push(STREAM, 3, '2', 1)
  push(1, 1, 'data')
  push(END, 1)
  push(CONN_END)
  fake.wake()
  await turn()
  assert.deepEqual(streams.map(({ destroyed }) => destroyed), [false, true])
  assert.equal(streams[1].errored.code, 'ERR_MUX_CONNECTION_CLOSED')
  const seen = []
  streams[0].on('data', (chunk) => seen.push(String(chunk))).on('end', () => seen.push('end')).resume()
  await turn()
  assert.deepEqual(seen, ['data', 'end'])
})

test('a failure is reported once, with the streams destroyed, and close says true', async () => {
  const { client, con, fake, push, events, number } = link()
  const errors = []
  client.on('error', (error) => errors.push([error.code, con.destroyed, stream.destroyed]))
  let stream
  client.on('stream', (announced) => { stream = announced })
  push(STREAM, 1, '1', 0)
  fake.wake()
  fake.calls.length = 0
  push(CONN_ERROR, 0, RESET)
  push(CONN_CLOSE, 0, '{"bytesRead":7,"bytesWritten":8}', 1)
  fake.wake()
  await turn()
  assert.deepEqual(errors, [['ECONNRESET', true, true]])
  assert.equal(stream.errored.code, 'ECONNRESET')
  assert.deepEqual(events, [['close', true]])
  assert.deepEqual([con.bytesRead, con.bytesWritten], [7, 8])
  assert.deepEqual(fake.calls.filter(([name]) => name === 'release'), [['release', number]])
})

test('a client without an error listener throws, and still closes', async () => {
  const errors = uncaught()
  const { fake, push, events } = link()
  push(CONN_ERROR, 0, RESET)
  push(CONN_CLOSE, 0, '{}', 1)
  assert.throws(() => fake.wake(), { code: 'ECONNRESET' })
  await turn()
  await turn()
  errors.stop()
  assert.deepEqual(events, [['close', true]])
  assert.deepEqual(errors.map(String), [])
})

test('a listener on the connection is enough', async () => {
  const { con, fake, push } = link()
  const failed = nextEvent(con, 'error')
  push(CONN_ERROR, 0, RESET)
  fake.wake()
  assert.equal((await failed)[0].syscall, 'read')
})

test('write callbacks that wait get the error of the connection', async () => {
  const { client, con, fake, push } = link()
  client.on('error', () => {})
  const called = []
  con.StreamPool.createStream(1, (stream) => stream.write('x', (error) => called.push(error.code)))
  push(4, 0, '', 1)
  push(CONN_ERROR, 0, RESET)
  fake.wake()
  await turn()
  assert.deepEqual(called, ['ECONNRESET'])
})

test('destroy flushes what was written, closes, and nothing comes after it but close', async () => {
  const { client, con, fake, push, number, events } = link()
  client.on('stream', assert.fail)
  con.StreamPool.createStream('last words')
  fake.calls.length = 0
  con.destroy()
  assert.equal(con.destroyed, true)
  assert.equal(fake.take(op.OPEN).length, 1)
  assert.deepEqual(fake.calls, [['destroy', number, false]])
  push(STREAM, 1, '1', 0)
  push(CONN_END)
  push(CONN_CLOSE, 0, '{}')
  fake.wake()
  await turn()
  assert.deepEqual(events, [['close', false]])
})

test('destroy with an error emits it, in a later tick, and close says true', async () => {
  const { client, con, fake, push, events } = link()
  const errors = []
  client.on('error', (error) => errors.push(error.message))
  con.destroy(new Error('mine'))
  con.destroy(new Error('too late'))
  assert.deepEqual(errors, [])
  push(CONN_CLOSE, 0, '{}')
  fake.wake()
  await turn()
  assert.deepEqual(errors, ['mine'])
  assert.deepEqual(events, [['close', true]])
})

test('behind its own end a connection acknowledges nothing, and delivers what comes', async () => {
  const { con, client, fake, push, sent, events } = link()
  const seen = []
  client.on('stream', (stream) => {
    stream.on('data', (chunk) => seen.push(String(chunk))).on('end', () => seen.push('end'))
  })
  con.end()
  sent()
  push(STREAM, 1, '1', 0)
  push(1, 1, 'late')
  push(END, 1)
  push(CONN_END)
  push(CONN_CLOSE, 0, '{}')
  fake.wake()
  await turn()
  await turn()
  assert.deepEqual(sent(op.ACCEPT), [])
  assert.deepEqual(seen, ['late', 'end'])
  assert.deepEqual(events, [['end'], ['close', false]])
})
