'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const net = require('node:net')
const errors = require('../lib/errors.js')

const ECONNREFUSED = -111
const EADDRINUSE = -98

test('a caller\'s error has the class and the code of its table', () => {
  const limit = errors.callerError('ERR_MUX_STREAM_LIMIT', 256)
  assert.equal(limit.message, 'Maximum of Streams per Connection is reached (255)')
  assert.equal(limit.constructor, Error)
  assert.match(errors.callerError('ERR_MUX_STREAM_LIMIT', 10).message, /maxStreams is 10\. End or destroy/)
  const value = errors.callerError('ERR_MUX_INVALID_VALUE', 'This value')
  assert.ok(value instanceof TypeError)
  assert.equal(value.code, 'ERR_MUX_INVALID_VALUE')
})

test('an invalid argument is described, whatever it is, and cut where it is long', () => {
  const received = (value) => errors.callerError('ERR_MUX_INVALID_ARG', 'x', 'a number', value).message
  assert.match(received(null), /Received null$/)
  assert.match(received('text'), /Received type string \('text'\)$/)
  assert.match(received(Symbol('s')), /Received type symbol \(Symbol\(s\)\)$/)
  assert.match(received(Object.create(null)), /Received an object$/)
  assert.match(received(new Map()), /Received an instance of Map$/)
  assert.match(received(function named () {}), /Received function named$/)
  assert.ok(received('long'.repeat(1000)).length < 120)
})

test('a protocol error names its code and the peer as its origin', () => {
  const error = errors.connectionError('{"origin":"peer","code":"ERR_MUX_OFFER","message":"a second offer"}')
  assert.ok(error instanceof errors.MuxProtocolError)
  assert.ok(error instanceof Error)
  assert.deepEqual([error.name, error.code, error.origin, error.message],
    ['MuxProtocolError', 'ERR_MUX_OFFER', 'peer', 'a second offer'])
})

test('a defect of ours is told from what the peer or the system does', () => {
  const error = errors.connectionError('{"origin":"internal"}')
  assert.equal(error.code, 'ERR_MUX_INTERNAL')
  assert.ok(!(error instanceof errors.MuxProtocolError))
  assert.match(error.message, /report/)
})

test('a stream\'s error has the code it was ended with under a name of its own', () => {
  const shape = (name) => { const { message, ...rest } = errors.streamError(name, 7); return [message.includes('7'), rest] }
  assert.deepEqual(errors.STREAM_CODES.map(shape), [
    [true, { code: 'ERR_MUX_STREAM_RESET', resetCode: 7 }],
    [true, { code: 'ERR_MUX_STREAM_STOPPED', stopCode: 7 }],
    [true, { code: 'ERR_MUX_STREAM_REFUSED', refuseCode: 7 }],
    [false, { code: 'ERR_MUX_GOAWAY' }]
  ])
})

test('a close with a code has it, and says whose it is', () => {
  const error = errors.connectionError(JSON.stringify({
    origin: 'peer', code: 'ERR_MUX_CLOSED_BY_PEER', message: 'bye', closeCode: 9, application: true
  }))
  assert.ok(error instanceof errors.MuxProtocolError)
  assert.deepEqual([error.code, error.message, error.closeCode, error.application],
    ['ERR_MUX_CLOSED_BY_PEER', 'bye', 9, true])
  const other = errors.connectionError('{"origin":"peer","code":"ERR_MUX_OFFER","message":"m"}')
  assert.equal('closeCode' in other, false)
})

test('every code of the peer has words of its own', () => {
  for (const code of errors.PEER_CODES) assert.ok(new errors.MuxProtocolError(code).message.length > 20, code)
})

test('system errors look as net makes them', { skip: process.platform !== 'linux' }, async (t) => {
  const refused = await new Promise((resolve) => net.connect({ port: 1, host: '127.0.0.1' }).on('error', resolve))
  const ours = errors.connectionError(JSON.stringify({
    origin: 'connect', errors: [{ errno: ECONNREFUSED, address: '127.0.0.1', port: 1 }]
  }))
  assert.equal(ours.message, refused.message)
  assert.deepEqual({ ...ours }, { ...refused })

  const first = net.createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => first.on('listening', resolve))
  const { port } = first.address()
  const inUse = await new Promise((resolve) => net.createServer().listen(port, '127.0.0.1').on('error', resolve))
  const listening = errors.listenError(EADDRINUSE, '127.0.0.1', port)
  assert.equal(listening.message, inUse.message)
  assert.deepEqual({ ...listening }, { ...inUse })
  first.close()

  const path = await new Promise((resolve) => net.connect('/nonexistent.sock').on('error', resolve))
  const gone = errors.connectError(-2, '/nonexistent.sock')
  assert.equal(gone.message, path.message)
  assert.deepEqual({ ...gone }, { ...path })
})

test('several addresses that failed are one AggregateError with the code of the first', () => {
  const error = errors.connectErrors([
    { errno: ECONNREFUSED, address: '::1', port: 7 }, { errno: -110, address: '127.0.0.1', port: 7 }
  ])
  assert.ok(error instanceof AggregateError)
  assert.equal(error.code, 'ECONNREFUSED')
  assert.deepEqual(error.errors.map(({ message }) => message),
    ['connect ECONNREFUSED ::1:7', 'connect ETIMEDOUT 127.0.0.1:7'])
})

test('an errno nobody knows makes an error all the same', () => {
  const error = errors.systemError(-99999, 'read')
  assert.deepEqual([error.code, error.errno, error.syscall], ['UNKNOWN', -99999, 'read'])
})
