'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const net = require('node:net')
const options = require('../lib/options.js')

const {
  CONNECTION_DEFAULTS, clientOptions, nativeSettings, priority, serverOptions, streamOptions, wireCode
} = options

const refused = { code: 'ERR_MUX_INVALID_ARG', name: 'TypeError' }

test('a server takes a port, a numeric string, a path, nothing, or an object', () => {
  assert.equal(serverOptions(12345).port, 12345)
  assert.equal(serverOptions('12345').port, 12345)
  assert.equal(serverOptions(12345, '::1').host, '::1')
  assert.equal(serverOptions('/a.sock').path, '/a.sock')
  assert.equal(serverOptions('/a.sock').port, undefined)
  assert.equal(serverOptions().port, 0)
  assert.equal(serverOptions({ path: '\0abstract' }).path, '\0abstract')
  assert.deepEqual([serverOptions({ port: 1, host: 'h' }).port, serverOptions({ port: 1, host: 'h' }).host], [1, 'h'])
})

test('a client needs a port or a path, and goes to localhost by default', () => {
  assert.throws(() => clientOptions(), refused)
  assert.throws(() => clientOptions({ host: 'h' }), refused)
  assert.equal(clientOptions(1).host, 'localhost')
  assert.equal(clientOptions('/a.sock').path, '/a.sock')
  assert.equal(clientOptions({ port: 1, family: 'IPv6' }).family, 6)
})

test('defaults are what the documentation says, and net\'s where it has the word', () => {
  const { connection, ...server } = serverOptions(1)
  assert.deepEqual(connection, CONNECTION_DEFAULTS)
  assert.deepEqual([server.backlog, server.ipv6Only, server.maxConnections], [511, false, Infinity])
  const client = clientOptions(1)
  assert.equal(client.autoSelectFamily, net.getDefaultAutoSelectFamily())
  assert.equal(client.autoSelectFamilyAttemptTimeout, net.getDefaultAutoSelectFamilyAttemptTimeout())
  assert.equal(clientOptions({ port: 1, autoSelectFamilyAttemptTimeout: 1 }).autoSelectFamilyAttemptTimeout, 10)
})

test('what is not allowed is refused before anything is opened', () => {
  for (const options of [
    { port: -1 }, { port: 65536 }, { port: 1.5 }, { port: {} }, { port: '' }, { port: true }, { port: 'x' },
    { port: 1, host: 5 }, { path: '' }, { path: 'a\0b' }, { port: 1, noDelay: 1 }, { port: 1, keepAlive: 'yes' },
    { port: 1, keepAliveInitialDelay: -1 }, { port: 1, protocol: 'quic' }, { port: 1, peer: 'old' },
    { port: 1, readableHighWaterMark: 0 }, { port: 1, writableHighWaterMark: 2 ** 31 }, { port: 1, unclaimedLimit: -1 },
    { port: 1, maxMetaSize: NaN }, { port: 1, maxJsonDepth: 0 }, { port: 1, signal: {} }, { port: 1, signal: null },
    { port: 1, maxStreams: 0 }, { port: 1, maxStreams: 2 ** 53 }, { port: 1, maxIncomingStreams: -1 },
    { port: 1, directSendLimit: -1 }, { port: 1, maxRecordSize: 16381 }, { port: 1, idleTimeout: 0.5 }, { port: 1, maxPings: 0 },
    { port: 1, streamWindow: 2, maxStreamWindow: 1 }, { port: 1, connectionWindow: 2, maxConnectionWindow: 1 }
  ]) {
    assert.throws(() => serverOptions(options), refused, JSON.stringify(options))
    assert.throws(() => clientOptions(options), refused, JSON.stringify(options))
  }
  for (const options of [
    { maxConnections: -1 }, { maxConnections: 'x' }, { maxConnectionsPerAddress: NaN }, { blockList: ['::1'] },
    { backlog: -1 }, { ipv6Only: 1 }
  ]) {
    assert.throws(() => serverOptions({ port: 1, ...options }), refused)
  }
  for (const options of [
    { family: 5 }, { lookup: 1 }, { localAddress: 'name' }, { localPort: 65536 }, { hints: -1 }, { autoSelectFamily: 1 }
  ]) assert.throws(() => clientOptions({ port: 1, ...options }), refused)
  for (const value of [5, 'x', true, { messages: 1 }, { signal: 1 }, { priority: 1 }, { priority: { urgency: 8 } }]) {
    assert.throws(() => streamOptions(value), refused)
  }
})

test('native code gets complete, plain data', () => {
  const { connection } = serverOptions({
    port: 1, keepAliveInitialDelay: 5, readableHighWaterMark: 6, writableHighWaterMark: 7, protocol: 'legacy', peer: 'new'
  })
  const settings = nativeSettings(connection)
  const { keepAliveDelay, lowWater, protocol: { protocol, peerNew, holdLimit, qmux } } = settings
  assert.deepEqual([keepAliveDelay, holdLimit, lowWater, protocol, peerNew], [5, 6, 3, 'legacy', true])
  for (const [name, value] of [settings, settings.protocol, qmux].flatMap(Object.entries)) {
    if (typeof value === 'object') continue
    assert.ok(['number', 'boolean', 'string'].includes(typeof value), name)
    // What has another name there has another meaning as well.
    if (name in connection) assert.equal(value, connection[name], name)
  }
})

test('half of a surrogate pair in a path is what net makes of it', () => {
  assert.equal(clientOptions({ path: '/a\ud800.sock' }).path, '/a\ufffd.sock')
})

test('given one of a window and its maximum, the other follows', () => {
  const windows = (options) => {
    const { streamWindow, maxStreamWindow, connectionWindow, maxConnectionWindow } = serverOptions(options).connection
    return [streamWindow, maxStreamWindow, connectionWindow, maxConnectionWindow]
  }
  assert.deepEqual(windows({ maxStreamWindow: 1000, connectionWindow: 2 ** 30 }), [1000, 1000, 2 ** 30, 2 ** 30])
  assert.deepEqual(windows({ streamWindow: 1, maxConnectionWindow: 2 ** 30 }), [1, 2 ** 24, 2 ** 20, 2 ** 30])
})

test('a priority is a number from 0 to 15, and has RFC 9218\'s words', () => {
  assert.deepEqual([{}, { urgency: 0 }, { urgency: 7, incremental: false }, { incremental: false }].map(priority),
    [11, 8, 7, 3])
  for (const value of [null, 'x', { urgency: -1 }, { urgency: 1.5 }, { incremental: 1 }]) {
    assert.throws(() => priority(value), refused)
  }
  assert.equal(streamOptions({}).priority, undefined)
  assert.equal(streamOptions({ priority: { urgency: 1 } }).priority, 9)
})

test('a code is what a number carries exactly', () => {
  for (const code of [0, 1, 2 ** 53 - 1]) assert.equal(wireCode(code), code)
  for (const code of [-1, 0.5, 2 ** 53, NaN, '1', 1n, undefined]) assert.throws(() => wireCode(code), refused)
})
