// Streams a second: open with meta, acknowledgement, end, a fixed number of them at a time.

import { check } from '../lib/side.mjs'
import { cpuOf, followWindow, openWindow } from '../lib/window.mjs'

export const title = 'open + accept + end, 64 at a time'

export const defaults = { parallel: 64, warmUp: 0.5, seconds: 2 }

export const metrics = [{ key: 'rate', title: 'streams/s', plot: 'streams per second' }]

export const cpu = { title: 's per million streams' }

export function describe ({ parallel, seconds, warmUp }) {
  return `${parallel} streams at a time for ${seconds} s after ${warmUp} s of warm-up: each is opened with a meta ` +
    'object, seen by the other side before its opener ends it, and counted when its end arrives. Where the protocol ' +
    'acknowledges no stream, the acceptor writes one byte back.'
}

const BYTE = Buffer.from([1])

export async function server (side) {
  const seen = { accepted: 0, ended: 0, sum: 0, metas: 0 }
  side.partial = () => seen
  let measured
  let opened = Infinity
  const done = new Promise((resolve) => {
    const onEnd = () => {
      seen.ended++
      if (seen.ended === opened) resolve()
    }
    side.hear('opened').then((count) => {
      opened = count
      if (seen.ended === opened) resolve()
    })
    side.listen((connection) => {
      connection.onStream((stream, meta) => {
        measured ??= openWindow(side, () => seen.ended)
        seen.accepted++
        if (meta !== undefined) {
          seen.metas++
          seen.sum += meta.n
        }
        stream.on('end', onEnd)
        // A stream whose data nobody reads may hold back its end.
        stream.resume?.()
        if (!side.features.acks) stream.write(BYTE)
      })
    })
  })
  await side.notStalled(done, () => seen.ended, () => `${seen.accepted} streams came, ${seen.ended} ended`)
  return { ...await measured, ...seen }
}

export async function client (side) {
  const connection = await side.connect()
  let opened = 0
  let busy = 0
  let isOver = false
  const done = new Promise((resolve) => {
    function next () {
      busy++
      connection.open({ type: 'update', n: opened++ }, onOpen)
    }
    function onOpen (stream) {
      if (side.features.acks) seen(stream)
      else stream.once('data', () => seen(stream))
    }
    function seen (stream) {
      stream.end()
      busy--
      if (!isOver) next()
      else if (busy === 0) resolve()
    }
    for (let index = 0; index < side.params.parallel; index++) next()
  })
  const measured = await followWindow(side)
  isOver = true
  await side.notStalled(done, () => opened - busy, () => `${opened} streams opened, ${busy} of them not acknowledged`)
  side.tell('opened', opened)
  return { ...measured, opened }
}

export function summarize ({ server, client }) {
  const { ended, metas, sum } = server
  check(ended === client.opened, `${ended} ends for ${client.opened} streams`)
  // If the contestant has no place for a meta, none arrives.
  check(metas === 0 || metas === ended, `${metas} metas for ${ended} streams`)
  check(metas === 0 || sum === ended * (ended - 1) / 2, 'a meta arrived twice or changed')
  const rate = server.units / server.elapsed
  return { rate, ...cpuOf({ sender: client, receiver: server, rate }, 1e6) }
}
