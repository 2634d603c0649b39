'use strict'

// How many connections a server has from one address.

const test = require('node:test')
const assert = require('node:assert/strict')
const { Places, networkOf } = require('../lib/places.js')

const v6 = (address) => ({ address, family: 'IPv6', port: 1 })
const v4 = (address) => ({ address, family: 'IPv4', port: 1 })

test('an IPv4 address stands for itself, an IPv6 address for its /64, a Unix socket for nobody', () => {
  for (const [remote, expected] of [
    [v4('10.0.0.1'), '10.0.0.1'],
    [v6('::ffff:10.0.0.1'), '10.0.0.1'],
    [v6('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64'],
    [v6('2001:db8:1:2::9'), '2001:db8:1:2::/64'],
    [v6('2001:db8::2:0:0:9'), '2001:db8:0:0::/64'],
    [v6('2001:db8::'), '2001:db8:0:0::/64'],
    [v6('2001::3:4:5:6:7:8'), '2001:0:3:4::/64'],
    [v6('fe80::1'), 'fe80:0:0:0::/64'],
    [v6('::1'), '0:0:0:0::/64'],
    [v6('::'), '0:0:0:0::/64'],
    [null, undefined],
    [undefined, undefined]
  ]) assert.equal(networkOf(remote), expected, remote?.address)
})

test('places are counted in all and by network, and given back once', () => {
  const places = new Places()
  const limits = { maxConnections: 4, maxConnectionsPerAddress: 2 }
  const refusal = (remote, change) => places.refusal({ ...limits, ...change }, remote)?.code
  places.add('a', v4('10.0.0.1'))
  places.add('b', v6('::ffff:10.0.0.1'))
  assert.equal(refusal(v4('10.0.0.1')), 'ERR_MUX_MAX_CONNECTIONS_PER_ADDRESS')
  assert.equal(refusal(v4('10.0.0.2')), undefined)
  assert.equal(refusal(undefined), undefined)
  places.add('c', undefined)
  places.pass('b', 'd')
  places.delete('b')
  assert.deepEqual([places.size, [...places].sort(), places.of('10.0.0.1')], [3, ['a', 'c', 'd'], 2])
  places.add('e', v4('10.0.0.2'))
  assert.equal(refusal(v4('10.0.0.3')), 'ERR_MUX_MAX_CONNECTIONS')
  places.delete('a')
  places.delete('a')
  places.delete('c')
  assert.deepEqual([places.of('10.0.0.1'), refusal(v4('10.0.0.1'))], [1, undefined])
  places.delete('d')
  assert.equal(places.of('10.0.0.1'), 0)
  // Both limits may be changed to anything by the program.
  assert.equal(refusal(v4('10.0.0.1'), { maxConnectionsPerAddress: undefined }), undefined)
  assert.equal(refusal(v4('10.0.0.1'), { maxConnectionsPerAddress: 0 }), 'ERR_MUX_MAX_CONNECTIONS_PER_ADDRESS')
})
