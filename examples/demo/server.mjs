// The receiving process: writes every file that arrives below a folder, hashes what arrives and compares.

import { createHash } from 'node:crypto'
import { createWriteStream, mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { MuxServer } from '../../index.js'
import { everyTenth, fail, followParent, settings, tell } from './child.mjs'
import { isInside, reasonOf } from './folder.mjs'

// The first few reasons tell what is wrong. A full disk would send a reason for every file.
const REASONS_KEPT = 20

const active = new Map()
const summary = { files: 0, bytes: 0, verified: 0, differing: 0, failed: 0, reasons: [] }
let begun = 0
let onFinished = () => {}

followParent(() => { if (settings.temporary) rmSync(settings.into, { recursive: true, force: true }) })

function targetOf (name) {
  // The name comes from the network, and may say '../..'.
  const target = path.resolve(settings.into, ...String(name).split('/'))
  if (!isInside(settings.into, target)) throw new Error('a name that leads out of the folder')
  // The call is synchronous: during an await the stream would have no reader.
  mkdirSync(path.dirname(target), { recursive: true })
  return target
}

async function receive (stream) {
  const { name, size } = stream.meta
  const transfer = { name, size, bytes: 0 }
  const id = begun++
  active.set(id, transfer)
  const hash = createHash('sha256')
  let trailer = null
  try {
    const file = createWriteStream(targetOf(name), { flags: 'wx' })
    stream.on('data', (chunk) => {
      hash.update(chunk)
      transfer.bytes += chunk.length
      summary.bytes += chunk.length
    })
    stream.on('end', (value) => { trailer = value })
    await pipeline(stream, file)
    const said = JSON.parse(trailer)
    if (said.error) throw new Error(`the sender could not read it: ${said.error}`)
    if (said.sha256 === hash.digest('hex')) summary.verified++
    else {
      summary.differing++
      explain(name, 'its SHA-256 differs')
    }
  } catch (error) {
    stream.destroy()
    summary.failed++
    explain(name, reasonOf(error))
  }
  active.delete(id)
  summary.files++
  onFinished()
}

function explain (name, reason) {
  if (summary.reasons.length < REASONS_KEPT) summary.reasons.push({ name, reason })
}

/** The answers to a ping travel on a stream of this end's own: a stream of the legacy wire goes one way. */
async function answer (ping, connection) {
  const pong = await connection.StreamPool.createStream({ kind: 'pong' })
  ping.on('data', (data) => pong.write(data))
  ping.on('end', (value) => {
    const { files } = JSON.parse(value)
    onFinished = () => { if (summary.files === files) pong.end(summary) }
    onFinished()
  })
}

const server = new MuxServer({ host: '127.0.0.1', port: 0 })
server.on('listening', () => tell({ type: 'listening', port: server.address().port }))
server.on('error', fail)
server.on('connection', (connection) => {
  const timer = everyTenth(report)
  connection.on('error', fail)
  connection.on('close', () => {
    clearInterval(timer)
    report()
    server.close()
  })
  connection.on('stream', (stream) => {
    if (stream.meta.kind === 'file') receive(stream)
    else answer(stream, connection).catch(fail)
  })
})

function report () {
  const transfers = [...active].map(([id, { name, size, bytes }]) => ({ id, name, size, bytes }))
  tell({ type: 'received', files: summary.files, bytes: summary.bytes, transfers })
}
