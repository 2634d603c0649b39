// The bytes that the protocol adds to small messages, whether they leave together or one by one.

import { Reader, checkArrived, payload } from '../lib/pattern.mjs'
import { openStream } from '../lib/streams.mjs'

export const title = 'bytes on the wire for a message of 21 bytes, beside the 21'

// `pause` is the time between two messages, milliseconds. With a pause, there are fewer messages, because of the time.
export const defaults = { size: 21, pause: 0, batched: 100_000, paced: 1000 }

export const isSteady = true

export const variants = {
  key: 'pause',
  values: [0, 2],
  title: (pause) => pause === 0 ? 'batched' : `one each ${pause} ms`
}

export const metrics = [
  { key: 'added', title: 'bytes a message, sender', style: 'ratio', isLess: true },
  { key: 'returned', title: 'bytes a message, back from the receiver', style: 'ratio', isLess: true }
]

export const goals = [{ key: 'added', atMost: 3.1, of: ({ features: { wire = 'qmux' } }) => wire !== 'legacy' }]

export function describe ({ size, batched, paced }) {
  return `Writes of ${size} bytes over one stream: ${batched.toLocaleString('en')} as fast as write() and 'drain' ` +
    `allow, or ${paced.toLocaleString('en')} one by one. What each end counts as written on its connection, less the ` +
    'payload; what opening takes is not in it.'
}

const countOf = ({ pause, batched, paced }) => pause === 0 ? batched : paced

export async function server (side) {
  const { size } = side.params
  const messages = countOf(side.params) + 1
  const reader = new Reader(size, side.features.messages === 'exact')
  let connection
  const all = new Promise((resolve, reject) => {
    side.listen((accepted) => {
      accepted.onStream((stream) => {
        connection = accepted
        stream.on('data', (data) => {
          if (!reader.read(data)) reject(new Error(reader.fault))
          // The first message has come before the count begins, so that no answer to the opening is counted.
          if (reader.bytes === size) side.tell('first', connection.bytesWritten())
          if (reader.bytes === messages * size) resolve()
        })
      })
    })
  })
  await side.notStalled(all, () => reader.bytes, () => `${reader.bytes} of ${messages * size} bytes arrived`)
  checkArrived([reader], size, messages)
  side.tell('all')
  return { written: connection.bytesWritten() }
}

export async function client (side) {
  const { size, pause } = side.params
  const connection = await side.connect()
  const stream = await openStream(connection, { workload: 'wire' })
  const bytes = payload(size)
  stream.write(bytes)
  const serverBefore = await side.hear('first')
  const before = connection.bytesWritten()
  let left = countOf(side.params)
  await new Promise((resolve) => {
    function batch () {
      let flows = true
      while (left > 0 && flows) {
        left--
        flows = stream.write(bytes) || !side.features.backpressure
      }
      if (left === 0) resolve()
      else stream.once('drain', batch)
    }
    function turn () {
      stream.write(bytes)
      if (--left === 0) resolve()
      else setTimeout(turn, pause)
    }
    if (pause === 0) batch()
    else turn()
  })
  await side.hear('all')
  return { written: connection.bytesWritten() - before, serverBefore }
}

export function summarize ({ server, client, params }) {
  const messages = countOf(params)
  return { added: client.written / messages - params.size, returned: (server.written - client.serverBefore) / messages }
}
