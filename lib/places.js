'use strict'

// The connections of a server, by the network that they come from, and the question whether another one may come.
//
// This file may not: close or emit anything.

const { dropError } = require('./errors')

// The groups of 16 bits that name an IPv6 network, whose owner has 2^64 addresses.
const NETWORK_GROUPS = 4

/**
 * The network that stands for one peer, as src/driver/quota.rs has it: an IPv4 address, or the /64 of an IPv6 address.
 * The text comes from native code, which writes IPv6 addresses in their short form.
 * @returns {string|undefined} undefined on a Unix socket, whose peers have no address
 */
function networkOf (remote) {
  if (remote === null || remote === undefined) return undefined
  const { address, family } = remote
  if (family !== 'IPv6') return address
  const embedded = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address)
  if (embedded !== null) return embedded[1]
  const [head, tail] = address.split('::').map((part) => part === '' ? [] : part.split(':'))
  if (tail === undefined) return `${head.slice(0, NETWORK_GROUPS).join(':')}::/64`
  const zeros = new Array(8 - head.length - tail.length).fill('0')
  return `${[...head, ...zeros, ...tail].slice(0, NETWORK_GROUPS).join(':')}::/64`
}

class Places {
  constructor () {
    this._networks = new Map() // holder of a place: its network
    this._counts = new Map() // network: how many places it has
  }

  get size () { return this._networks.size }

  [Symbol.iterator] () { return this._networks.keys() }

  /** `holder` takes a place. `remote` is its address in the form of native code. */
  add (holder, remote) {
    const network = networkOf(remote)
    this._networks.set(holder, network)
    if (network !== undefined) this._counts.set(network, this.of(network) + 1)
  }

  /** @returns {boolean} whether `holder` had a place */
  delete (holder) {
    if (!this._networks.has(holder)) return false
    const network = this._networks.get(holder)
    this._networks.delete(holder)
    if (network === undefined) return true
    const left = this.of(network) - 1
    if (left > 0) this._counts.set(network, left)
    else this._counts.delete(network)
    return true
  }

  /** `next` takes the place of `holder`, whose network it has. */
  pass (holder, next) {
    this._networks.set(next, this._networks.get(holder))
    this._networks.delete(holder)
  }

  of (network) { return this._counts.get(network) ?? 0 }

  /** @returns {Error|undefined} why another connection may not have a place */
  refusal ({ maxConnections, maxConnectionsPerAddress }, remote) {
    if (this.size >= maxConnections) return dropError('ERR_MUX_MAX_CONNECTIONS', maxConnections)
    if (!(maxConnectionsPerAddress < Infinity)) return undefined
    const network = networkOf(remote)
    if (network === undefined || this.of(network) < maxConnectionsPerAddress) return undefined
    return dropError('ERR_MUX_MAX_CONNECTIONS_PER_ADDRESS', maxConnectionsPerAddress, network)
  }
}

module.exports = { Places, networkOf }
