// The bytes that the protocol adds to the payload, if nothing can be batched.

import { Reader, checkArrived, payload } from '../lib/pattern.mjs'
import { openStream } from '../lib/streams.mjs'

export const title = 'bytes on the wire per payload byte'

export const defaults = { size: 22, messages: 10_000 }

export const isSteady = true

export const metrics = [
  { key: 'sent', title: 'sender writes', style: 'ratio', isLess: true, plot: 'wire bytes per payload byte' },
  { key: 'returned', title: 'receiver writes back', style: 'ratio', isLess: true }
]

export function describe ({ size, messages }) {
  return `${messages.toLocaleString('en')} writes of ${size} bytes over one stream, one in each turn of the event ` +
    'loop; what opening takes is not counted.'
}

export async function server (side) {
  const { size, messages } = side.params
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
          if (reader.bytes === (messages + 1) * size) resolve()
        })
      })
    })
  })
  await side.notStalled(all, () => reader.bytes, () => `${reader.bytes} of ${(messages + 1) * size} bytes arrived`)
  checkArrived([reader], size, messages + 1)
  side.tell('all')
  return { written: connection.bytesWritten() }
}

export async function client (side) {
  const { size, messages } = side.params
  const connection = await side.connect()
  const stream = await openStream(connection, { workload: 'wire' })
  const bytes = payload(size)
  stream.write(bytes)
  const serverBefore = await side.hear('first')
  const before = connection.bytesWritten()
  await new Promise((resolve) => {
    let left = messages
    function turn () {
      const flows = stream.write(bytes)
      if (--left === 0) resolve()
      else if (flows || !side.features.backpressure) setImmediate(turn)
      else stream.once('drain', () => setImmediate(turn))
    }
    turn()
  })
  await side.hear('all')
  return { written: connection.bytesWritten() - before, serverBefore }
}

export function summarize ({ server, client, params }) {
  const bytes = params.messages * params.size
  return { sent: client.written / bytes, returned: (server.written - client.serverBefore) / bytes }
}
