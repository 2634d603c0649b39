'use strict'

// Certificates and keys of the tests: __test__/fixtures/tls/make.sh makes them.

const fs = require('node:fs')
const path = require('node:path')
const tls = require('node:tls')
const { cleanup } = require('./cleanup.js')

const folder = path.join(__dirname, '../fixtures/tls')
const pem = (name) => fs.readFileSync(path.join(folder, `${name}.pem`))

/** A certificate with its key. */
const identity = (name) => ({ cert: pem(name), key: pem(`${name}-key`) })

const ca = pem('authority')

const count = (server) => new Promise((resolve) => server.getConnections((error, number) => resolve(error ?? number)))

/** Nothing of a server's connections is left, handshakes included. */
async function nobodyIsLeft (server) {
  for (let tries = 0; await count(server) > 0; tries++) {
    if (tries === 300) throw new Error(`${await count(server)} connections are left`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** A server of Node's, which reads what comes, and the port that it listens on. */
async function nodeServer (t, settings) {
  const server = tls.createServer(settings, (socket) => socket.on('error', () => {}).resume())
  server.on('tlsClientError', () => {})
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanup(t, () => server.close())
  return server.address().port
}

/** The code that a client of Node's ends with, or 'ok'. */
function nodeClient (t, port, settings) {
  const socket = tls.connect({ port, host: 'localhost', family: 4, servername: 'localhost', ...settings })
  cleanup(t, () => socket.destroy())
  return new Promise((resolve) => {
    socket.once('secureConnect', () => resolve('ok'))
    socket.once('error', (error) => resolve(error.code))
  })
}

module.exports = { ca, identity, nobodyIsLeft, nodeClient, nodeServer, pem }
