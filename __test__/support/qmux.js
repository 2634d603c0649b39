'use strict'

// Streams and connections on QMux against the fake native side.

const { connected } = require('./fake-engine.js')
const { kind, op, wires } = require('../../lib/boundary.js')
const engine = require('../../lib/engine.js')

const NAMES = Object.fromEntries(Object.entries(op).map(([name, code]) => [code, name]))

// What a command says, in short: 'HOLD 228', 'RESET 7', 'DATA hi'.
function say ({ op: code, argument, payload }) {
  const name = NAMES[code]
  if (['RESET', 'STOP', 'REFUSE', 'CLOSE'].includes(name)) {
    return `${name} ${payload.readBigUInt64LE()}${payload.length > 8 ? ` ${payload.subarray(8)}` : ''}`
  }
  if (payload !== null) return `${name} ${payload}`
  return ['HOLD', 'RELEASE', 'PRIORITY'].includes(name) ? `${name} ${argument}` : name
}

// A connection that speaks QMux both ways.
function connection (options) {
  const side = connected(options)
  const { fake, number } = side
  const tell = (...args) => {
    fake.push(...args.splice(0, 1), number, ...args)
    fake.wake()
  }
  tell(kind.WIRES, 0, '', wires.SENDS | wires.RECEIVES)
  return {
    ...side,
    tell,
    sent: (code) => { engine.flush(); return fake.take(code) },
    // Commands in short, without marks; those marks are answered.
    said: () => {
      engine.flush()
      const commands = fake.take()
      for (const { op: code, argument } of commands) {
        if (code === op.MARK) fake.push(kind.MARK, number, 0, '', argument)
      }
      fake.wake()
      return commands.filter(({ op: code }) => code !== op.MARK).map(say)
    }
  }
}

function withStream (side, stream, handle) {
  const record = (code, payload, aux) => side.tell(code, handle, payload, aux)
  return {
    ...side,
    stream,
    handle,
    record,
    deliver: (...texts) => { for (const text of texts) record(kind.DATA, text) },
    end: (value) => record(kind.END, value, value === undefined ? 0 : 1)
  }
}

// A stream that this end created, acknowledged.
function creator (options, streamOptions) {
  const side = connection(options)
  let stream
  side.con.StreamPool.createStream('meta', streamOptions, (opened) => { stream = opened })
  const [{ stream: handle }] = side.sent(op.OPEN)
  side.tell(kind.OPENED, handle, '', 4)
  return withStream(side, stream, handle)
}

// A stream that the peer created, given to a listener.
function acceptor (options, listener = () => {}) {
  const side = connection(options)
  let stream
  side.client.on('stream', (announced) => {
    stream = announced
    listener(stream)
  })
  side.tell(kind.STREAM, 1, '{"from":"peer"}', 1)
  return withStream(side, stream, 1)
}

// What a stream emits, in order, as 'name' or 'name argument'.
function log (stream, ...names) {
  const seen = []
  for (const name of names) {
    stream.on(name, (...args) => seen.push([name, ...args.map((each) => each?.code ?? String(each))].join(' ')))
  }
  return seen
}

module.exports = { acceptor, connection, creator, kind, log, say }
