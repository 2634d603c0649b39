// The type of a stream's meta; what came with this version beside it.

import { Connection, MuxClient, MuxProtocolError, MuxServer, MuxStream } from '../../index.js'

function is<T> (value: T): T {
  return value
}

interface Job { path: string, size?: number }

const job: Job = { path: '/upper' }
const server = new MuxServer({ port: 0, captureRejections: true })
const client = new MuxClient({ port: 1 })

async function created (): Promise<void> {
  const stream = await client.StreamPool.createStream(job)
  is<Job>(stream.meta)
  is<MuxStream<Job>>(stream)
  // Without a type of its own it goes wherever a stream goes.
  is<MuxStream>(stream)
  // @ts-expect-error: it has none of this name
  is<number>(stream.meta.length)
  // @ts-expect-error: it is read only
  stream.meta = job
  const named = await client.StreamPool.createStream<Job>({ path: '/' }, { signal: new AbortController().signal })
  is<number | undefined>(named.meta.size)
  // @ts-expect-error: it is no Job
  await client.StreamPool.createStream<Job>({ size: 5 })
  // @ts-expect-error: it has no JSON form
  await client.StreamPool.createStream(undefined)
  client.StreamPool.createStream('text', function (each) {
    is<string>(each.meta)
    is<string>(this.meta)
  })
  client.StreamPool.createStream<Job>(job, { messages: false }, (each) => is<string>(each.meta.path))
}
created().catch(() => {})

server.on('connection', (con) => {
  con.on('stream', (stream: MuxStream<Job>) => is<string>(stream.meta.path))
  con.on<Job>('stream', (stream) => is<number | undefined>(stream.meta.size))
  con.once<Job>('stream', (stream) => is<string>(stream.meta.path))
  con.on('stream', (stream) => is<any>(stream.meta))
  con.on('streamFailed', (error, meta) => is<Error>(error) && is<any>(meta))
  is<number | undefined>(con.closeCode)
  is<string | undefined>(con.closeReason)
  is<MuxStream | undefined>(con.StreamPool.streams[3])
})
client.on<Job>('stream', (stream) => is<string>(stream.meta.path))
client.on('stream', (stream) => {
  is<MuxStream>(stream.setTimeout(1000, () => stream.destroy()).setNoDelay().setKeepAlive(true, 5).ref().unref())
  is<number>(stream.timeout)
  stream.write(new ArrayBuffer(3))
  stream.end(new SharedArrayBuffer(3))
})
client.on('streamFailed', (error, meta) => is<Error>(error) && is<any>(meta))
client.on('streamRefused', (meta, code) => is<number>(code))
client.once('goaway', () => {}).once('timeout', () => {})
is<Promise<number>>(client.ping())
is<MuxClient>(client.goaway().setTimeout(5, () => {}).close(3, 'why'))
is<number>(client.stats().streamsLive)
is<MuxServer>(server.closeAllConnections())

export function report (error: MuxProtocolError, con: Connection): string {
  return error.closeReason ?? con.closeReason ?? ''
}
