// How many streams a second: open with meta, acknowledgement, end, a fixed number at a time.

import { check, now } from '../lib/side.mjs'

export const title = 'open + accept + end, 64 at a time'

export const defaults = { parallel: 64, warmUpSeconds: 0.5, seconds: 2 }

export const metrics = [{ key: 'rate', title: 'streams/s' }]

export function describe ({ parallel, seconds, warmUpSeconds }) {
  return `${parallel} streams at a time for ${seconds} s after ${warmUpSeconds} s of warm-up; each is opened with a meta ` +
    'object, acknowledged and ended, and every end is counted at the other side.'
}

export async function server (side) {
  const seen = { accepted: 0, ended: 0, sum: 0 }
  side.partial = () => seen
  let expected = Infinity
  const done = new Promise((resolve) => {
    const isOver = () => { if (seen.ended === expected) resolve() }
    side.hear('opened').then((count) => { expected = count; isOver() })
    side.listen((connection) => {
      connection.onStream((stream, meta) => {
        seen.accepted++
        seen.sum += meta.n
        stream.on('end', () => { seen.ended++; isOver() })
        // A stream whose data nobody reads may hold back its end.
        stream.resume?.()
      })
    })
  })
  await done
  side.tell('done')
  return seen
}

export async function client (side) {
  const { parallel, seconds, warmUpSeconds } = side.params
  const connection = await side.connect()
  const measureFrom = now() + warmUpSeconds * 1e9
  const stopAt = measureFrom + seconds * 1e9
  let opened = 0
  let measured = 0
  let idle = 0
  let last = 0
  await new Promise((resolve) => {
    function next () {
      connection.open({ type: 'update', n: opened++ }, onOpen)
    }
    function onOpen (stream) {
      stream.end()
      const at = now()
      if (at >= measureFrom && at < stopAt) {
        measured++
        last = at
      }
      if (at < stopAt) next()
      else if (++idle === parallel) resolve()
    }
    for (let index = 0; index < parallel; index++) next()
  })
  side.tell('opened', opened)
  await side.hear('done')
  return { opened, measured, elapsed: last - measureFrom }
}

export function summarize ({ server, client }) {
  check(server.ended === client.opened, `${server.ended} ends for ${client.opened} streams`)
  check(server.sum === client.opened * (client.opened - 1) / 2, 'a meta arrived twice, changed or not at all')
  return { rate: client.measured / (client.elapsed / 1e9) }
}
