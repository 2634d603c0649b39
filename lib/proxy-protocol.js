'use strict'

// The option `proxyProtocol` of a server, in the form that native code takes.
//
// This file may not: read a header, which native code does.

const net = require('node:net')
const { invalid } = require('./errors')

// The peers of a Unix socket have no address; nginx writes them so, too.
const UNIX = 'unix:'

const EXPECTED = `a list of IP addresses, networks such as '10.0.0.0/8', or '${UNIX}'`

/** @returns {{ networks: object[], unix: boolean }|undefined} undefined if no peer is trusted to send a header */
function proxyProtocol (value) {
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'object') throw invalid('options.proxyProtocol', 'an object', value)
  const { trusted } = value
  // Without the list, a server would believe everybody, or nobody although headers come.
  if (!Array.isArray(trusted) || trusted.length === 0) throw untrusted(trusted)
  return { networks: trusted.filter((text) => text !== UNIX).map(network), unix: trusted.includes(UNIX) }
}

function network (text) {
  const [address, bits, ...rest] = typeof text === 'string' ? text.split('/') : []
  const most = { 4: 32, 6: 128 }[net.isIP(address ?? '')]
  const prefix = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : NaN
  if (most === undefined || rest.length > 0 || address.includes('%') || !(prefix <= most)) throw untrusted(text)
  return { address, prefix }
}

function untrusted (value) { return invalid('options.proxyProtocol.trusted', EXPECTED, value) }

module.exports = { proxyProtocol }
