'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const net = require('node:net')
const options = require('../lib/options.js')

const { CONNECTION_DEFAULTS, clientOptions, nativeSettings, serverOptions, streamOptions } = options

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
    { port: 1, keepAliveInitialDelay: -1 }, { port: 1, protocol: 'qmux' }, { port: 1, peer: 'old' },
    { port: 1, readableHighWaterMark: 0 }, { port: 1, writableHighWaterMark: 2 ** 31 }, { port: 1, unclaimedLimit: -1 },
    { port: 1, maxMetaSize: NaN }, { port: 1, maxJsonDepth: 0 }, { port: 1, signal: {} }, { port: 1, signal: null }
  ]) {
    assert.throws(() => serverOptions(options), refused, JSON.stringify(options))
    assert.throws(() => clientOptions(options), refused, JSON.stringify(options))
  }
  for (const options of [{ maxConnections: -1 }, { maxConnections: 'x' }, { backlog: -1 }, { ipv6Only: 1 }]) {
    assert.throws(() => serverOptions({ port: 1, ...options }), refused)
  }
  for (const options of [
    { family: 5 }, { lookup: 1 }, { localAddress: 'name' }, { localPort: 65536 }, { hints: -1 }, { autoSelectFamily: 1 }
  ]) assert.throws(() => clientOptions({ port: 1, ...options }), refused)
  for (const value of [5, 'x', true, { messages: 1 }, { signal: 1 }]) assert.throws(() => streamOptions(value), refused)
})

test('native code gets complete, plain data', () => {
  const { connection } = serverOptions({ port: 1, writableHighWaterMark: 7, protocol: 'legacy', peer: 'new' })
  const settings = nativeSettings(connection)
  assert.deepEqual(settings, {
    noDelay: true,
    keepAlive: false,
    keepAliveDelay: 0,
    offer: false,
    peerNew: true,
    lowWater: 3,
    maxMetaSize: 4194304,
    maxMetaTotal: 16777216,
    maxEndValueSize: 4194304,
    maxJsonDepth: 512,
    holdLimit: 262144
  })
})
