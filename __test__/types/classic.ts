// The four programs of version 0.1.0, and the options they grew.

import Muxer = require('../../index.js')
import { MuxClient, MuxProtocolError, MuxServer, MuxStream, type Connection, type ConnectionStats, util }
  from '../../index.js'
import { BlockList } from 'node:net'

function is<T> (value: T): T {
  return value
}

const server = new Muxer.MuxServer(12345)
server.on('connection', (con) => {
  is<Connection>(con)
  con.StreamPool.createStream({ type: 'update', file: 'xy.js' }, function (stream) {
    is<MuxStream>(this)
    is<boolean>(stream.write(Buffer.from('…')))
  })
  con.on('stream', (stream) => {
    is<any>(stream.meta)
    is<number>(stream.id)
    stream.on('data', (data: Buffer) => is<number>(data.length))
    stream.on('end', (value) => is<Buffer | undefined>(value))
  })
  con.on('close', (hadError) => is<boolean>(hadError))
  is<string | undefined>(con.remoteAddress)
  is<ConnectionStats>(con.stats())
  is<'old' | 'new' | 'undecided' | 'foreign'>(con.stats().peer)
  con.setTimeout(1000, () => con.destroy()).setNoDelay().setKeepAlive(true, 500).ref().unref()
})
server.on('connectionError', (error, con) => con.destroy(error))
server.on('drop', (data, error) => is<string | undefined>(data.remoteAddress ?? error.code))
server.blockList = new BlockList()
server.close((error) => is<Error | undefined>(error))

const client = new Muxer.MuxClient(12345, function () {
  client.StreamPool.createStream({ type: 'update' }, function (stream) {
    stream.write({ k: 1 })
    stream.write('text', 'utf8', (error) => is<Error | null | undefined>(error))
    stream.write(new Uint8Array(3), () => {})
    stream.write(null)
    stream.end({ done: true }, () => {})
    stream.end(undefined, () => {})
    stream.end(() => {})
  })
})
is<Connection | undefined>(client.connection)

new MuxServer('/tmp/a.sock')
new MuxServer({ verifyConnection: ({ remoteAddress }) => remoteAddress === '::1' })
new MuxServer({ async verifyConnection (info) { return info.encrypted || this.listening } })
new MuxServer({ verifyConnection: (info, callback) => callback(info.remotePort !== 5, 403, 'not you') })
new MuxServer({ proxyProtocol: { trusted: ['10.0.0.0/8', '::1', 'unix:'] } })
// @ts-expect-error: only a boolean answers
new MuxServer({ verifyConnection: () => 'yes' })
new MuxServer({ maxConnections: 5, maxConnectionsPerAddress: 1, blockList: server.blockList })
new MuxServer(0, '127.0.0.1')
new MuxServer({ port: '8080', host: '::1', backlog: 5, ipv6Only: true, reusePort: true, maxConnections: 3, peer: 'new', noDelay: false })
new MuxClient('/tmp/a.sock', () => {})
new MuxClient(1, '127.0.0.1', () => {})
new MuxClient({ port: 1, family: 4, protocol: 'legacy', signal: new AbortController().signal })

class Mine extends MuxServer {
  constructor () {
    super(0)
  }
}
new Mine().unref()

async function opens (): Promise<void> {
  const stream = await client.StreamPool.createStream([1, 'two', null])
  is<MuxStream>(stream)
  await client.StreamPool.createStream('meta', { messages: false, signal: new AbortController().signal })
  is<void>(client.StreamPool.createStream(1, { messages: true }, (each) => is<MuxStream>(each)))
  for await (const chunk of stream) is<Buffer>(chunk)
  stream.pipe(process.stdout)
  process.stdin.pipe(stream)
}
opens().catch((error: unknown) => {
  if (error instanceof MuxProtocolError) {
    is<string>(error.code)
    is<'peer'>(error.origin)
  }
})

client.on('stream', (stream) => {
  util.receiveFile('a', stream).once('finish', () => {})
  is<number>(util.sendFile('b', stream).bytesRead)
})

// What must not compile.

// @ts-expect-error: there is no port
new MuxClient()
// @ts-expect-error: an unknown wire
new MuxServer({ protocol: 'quic' })
// @ts-expect-error: not a boolean
new MuxServer({ noDelay: 1 })
// @ts-expect-error: only servers and clients make connections
new Muxer.MuxStream()
// @ts-expect-error: read-only
client.connection = undefined
// @ts-expect-error: undefined has no JSON form
client.StreamPool.createStream(undefined)
// @ts-expect-error: symbols have none
client.StreamPool.createStream(Symbol('s'), () => {})
