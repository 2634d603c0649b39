// New connections a second, each of which a stream goes over: that proves both ends done with the handshake, and has
// brought what the next one is resumed by.

import { check } from './side.mjs'
import { openStream } from './streams.mjs'
import { cpuOf, followWindow, openWindow } from './window.mjs'

const BYTE = Buffer.from([1])

async function server (side) {
  await side.listen((connection) => {
    connection.onStream((stream) => {
      stream.resume?.()
      if (!side.features.acks) stream.write(BYTE)
    })
  })
  return followWindow(side)
}

async function client (side) {
  const counts = { made: 0, resumed: 0 }
  side.partial = () => counts
  let isOver = false
  async function one () {
    const connection = await side.connect()
    if (connection.isResumed()) counts.resumed++
    const stream = await openStream(connection, { n: counts.made })
    if (!side.features.acks) {
      stream.write(BYTE)
      await new Promise((resolve) => stream.once('data', resolve))
    }
    connection.end()
    counts.made++
  }
  const worker = async () => { while (!isOver) await one() }
  const all = Promise.all(Array.from({ length: side.params.parallel }, worker))
  const measured = await openWindow(side, () => counts.made)
  isOver = true
  await side.notStalled(all, () => counts.made, () => `${counts.made} connections`)
  return { ...measured, ...counts }
}

/** `resumes` says whether a connection goes on with the session of an earlier one. */
export function handshakes ({ resumes }) {
  return {
    server,
    client,
    defaults: { parallel: 8, warmUp: 0.5, seconds: 2 },
    metrics: [{ key: 'rate', title: 'connections/s' }],
    cpu: { title: 's per thousand connections' },
    accepts: (features) => features.resumes === true,
    optionsFor: () => ({ resumes }),
    describe: ({ parallel, seconds, warmUp }) => `${parallel} at a time for ${seconds} s after ${warmUp} s of ` +
      'warm-up: each connects, opens a stream, hears from the other end over it, and ends. ' +
      (resumes ? 'All but the first few resume a session.' : 'None resumes a session.'),
    summarize ({ server, client }) {
      const { made, resumed } = client
      check(resumes ? resumed > made * 0.9 : resumed === 0, `${resumed} of ${made} were resumed`)
      const rate = client.units / client.elapsed
      return { rate, ...cpuOf({ sender: client, receiver: server, rate }, 1e3) }
    }
  }
}
