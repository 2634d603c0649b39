// Connections over streams of the program's, and servers that do not listen themselves.

import { MuxClient, MuxServer, type Connection } from '../../index.js'
import { createServer, type IncomingMessage } from 'node:http'
import { connect, createServer as createNetServer } from 'node:net'
import { PassThrough } from 'node:stream'
import { createServer as createTlsServer } from 'node:tls'

function is<T> (value: T): T {
  return value
}

const server = new MuxServer({
  noServer: true,
  verifyConnection: ({ request, encrypted }) => is<IncomingMessage | undefined>(request) === undefined && encrypted
})
is<Connection>(server.accept(new PassThrough()))
is<MuxServer>(new MuxServer({ server: createServer(), path: '/mux' }))
is<MuxServer>(new MuxServer({ server: createNetServer() }))
is<MuxServer>(new MuxServer({ server: createTlsServer() }))
is<MuxClient>(new MuxClient({ socket: connect(5) }, () => {}))
// @ts-expect-error a stream that cannot be written carries nothing
new MuxClient({ socket: process.stdin.setEncoding('utf8').pipe })
// @ts-expect-error a number is no stream
server.accept(5)
