// One end of a profile of profile.mjs: a receiver that counts, or a sender that writes as fast as 'drain' allows until
// it is killed. The process runs from a copy of the package that has an addon with symbols.

import { createRequire } from 'node:module'
import process from 'node:process'

const { role, folder, port, size } = JSON.parse(process.argv[2])
const { MuxServer, MuxClient } = createRequire(import.meta.url)(folder)

// If profile.mjs ends in whatever way, this process ends too.
process.on('disconnect', () => process.exit())

const HOST = '127.0.0.1'

function receive () {
  let messages = 0
  process.on('message', () => process.send({ messages, at: performance.now(), cpu: process.cpuUsage() }))
  const server = new MuxServer({ port: 0, host: HOST })
  server.on('connection', (connection) => {
    connection.on('error', () => {})
    connection.on('stream', (stream) => stream.on('data', (data) => { messages += data.length / size }))
  })
  server.on('listening', () => process.send({ port: server.address().port }))
}

function send () {
  const bytes = Buffer.alloc(size, 7)
  const client = new MuxClient({ port, host: HOST }, () => {
    client.connection.StreamPool.createStream({}, (stream) => {
      const pump = () => { while (stream.write(bytes)); }
      stream.on('drain', pump)
      pump()
      process.send({ sending: true })
    })
  })
  process.on('message', () => process.send({ at: performance.now(), cpu: process.cpuUsage() }))
}

if (role === 'receiver') receive()
else send()
