'use strict'

// Servers and clients whose connections go over carriers, by the constructors' own arguments: a socket of Node's at each end,
// which the package sees as a Duplex. With MUX_TEST_CARRIER set, the tests of whole files run over them.

const net = require('node:net')
const { Duplex } = require('node:stream')
const Muxer = require('../../index.js')
const { cleanup } = require('./cleanup.js')
const { nextEvent, within } = require('./events.js')

/** Two ends of a stream in memory, as stream.duplexPair() of later Nodes. */
function duplexPair (options) {
  class End extends Duplex {
    #other
    #taken = null

    join (other) { this.#other = other }

    take (chunk, taken) {
      if (chunk !== null && chunk.length === 0) return process.nextTick(taken)
      this.#taken = taken
      this.push(chunk)
    }

    _read () {
      const taken = this.#taken
      this.#taken = null
      if (taken !== null) taken()
    }

    _write (chunk, encoding, done) {
      if (this.#other.destroyed) done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
      else this.#other.take(chunk, done)
    }

    _final (done) {
      const other = this.#other
      if (other.destroyed) return done()
      other.once('end', done).once('close', done)
      other.push(null)
    }

    _destroy (error, done) {
      // The other end learns of it, as the end of a socket would.
      if (!this.writableFinished) process.nextTick(() => this.#other.destroy())
      done(error)
    }
  }
  const ends = [new End(options), new End(options)]
  ends[0].join(ends[1])
  ends[1].join(ends[0])
  return ends
}

// A server without a listener, and a client, over the two ends of a stream.
async function carry (t, [near, far], { server: serverOptions, client: clientOptions } = {}) {
  const server = new Muxer.MuxServer({ noServer: true, ...serverOptions })
  const accepted = nextEvent(server, 'connection')
  const con = server.accept(far)
  const client = new Muxer.MuxClient({ socket: near, ...clientOptions })
  cleanup(t, () => {
    client.destroy()
    con.destroy()
    return within(new Promise((resolve) => server.close(() => resolve())), 'the server to close')
  })
  await Promise.all([accepted, nextEvent(client, 'connect')])
  return { server, con, client }
}

const isOptions = (value) => typeof value === 'object' && value !== null

function MuxServer (port, host) {
  const options = isOptions(port) ? port : { port, host }
  if (options.noServer || options.server !== undefined) return new Muxer.MuxServer(options)
  const listener = net.createServer({ allowHalfOpen: true })
  const { port: number = 0, host: where, path, ...rest } = options
  const server = new Muxer.MuxServer({ ...rest, server: listener })
  const close = server.close
  server.close = function (...args) {
    listener.close()
    return close.apply(this, args)
  }
  listener.listen(path === undefined ? { port: number, host: where } : { path })
  return server
}

function MuxClient (port, host, done) {
  const options = isOptions(port) ? port : { port, host }
  if (options.socket !== undefined) return new Muxer.MuxClient(options, done)
  const { port: number, host: where, path, ...rest } = options
  const socket = net.connect(path === undefined ? { port: number, host: where } : { path })
  return new Muxer.MuxClient({ ...rest, socket }, typeof host === 'function' ? host : done)
}

module.exports = { ...Muxer, MuxServer, MuxClient, carry, duplexPair }
