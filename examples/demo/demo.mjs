#!/usr/bin/env node
// The main job on real input: a folder, sent from one process to another over one connection, up to 64 files at a time.
// This process starts the other two, shows how far they are and judges the result; it touches no connection itself.

import { fork } from 'node:child_process'
import { mkdtempSync, mkdirSync, readdirSync, realpathSync, rmSync, statSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { display } from './display.mjs'
import { count, milliseconds, printable, size } from './text.mjs'

const DEFAULT_FOLDER = fileURLToPath(new URL('../../node_modules', import.meta.url))

// 256 streams may live on a connection, and two are for the round trip.
const MOST_PARALLEL = 250

// Milliseconds until both processes, which have nothing left to do, must have ended. A process that still runs then holds
// something that it should not.
const GRACE = 5000

const REASONS_SHOWN = 10

const USAGE = `npm run demo -- [folder] [options]

Sends every file of a folder (default: this package's node_modules) from one process to another over one TCP connection,
a stream for each file, and verifies the SHA-256 of each on arrival. Links that lead out of the folder are not followed.

      --parallel n    files at a time, 1 to ${MOST_PARALLEL} (default: 64)
      --into folder   keeps what arrived there; it must be empty or not exist (default: a temporary folder, removed at the end)
  -h, --help

Exit status: 0 every file that could be read arrived as it was sent; 1 one did not, or a process died; 2 wrong arguments; 130 interrupted.`

class UsageError extends Error {}

function settingsOf (args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      parallel: { type: 'string', default: '64' },
      into: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false }
    }
  })
  if (values.help) return { help: true }
  if (positionals.length > 1) throw new UsageError('one folder at a time')
  const folder = path.resolve(positionals[0] ?? DEFAULT_FOLDER)
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw new UsageError(`${folder} is not a folder`)
  const parallel = Number(values.parallel)
  if (!Number.isInteger(parallel) || parallel < 1 || parallel > MOST_PARALLEL) {
    throw new UsageError(`--parallel wants a whole number from 1 to ${MOST_PARALLEL}`)
  }
  return { folder, parallel, into: values.into }
}

function target (into) {
  if (into === undefined) {
    return { into: realpathSync(mkdtempSync(path.join(os.tmpdir(), 'tcp-stream-muxer-demo-'))), temporary: true }
  }
  mkdirSync(into, { recursive: true })
  if (readdirSync(into).length > 0) throw new UsageError(`${into} is not empty`)
  return { into: realpathSync(into), temporary: false }
}

/** Runs both processes to their end. Resolves with { done } (the sender's report), { failed } (a reason) or { stopped }. */
async function transfer ({ folder, parallel }, { into, temporary }) {
  const children = new Map()
  const totals = { files: 0, allFiles: null, bytes: 0, allBytes: 0, rate: 0, rtt: null }
  let transfers = []
  let began = 0
  let done = null
  let failed = null
  let stopped = false

  const shown = await display(() => totals, () => transfers, parallel)
  const left = new Promise((resolve) => {
    let grace

    function start (role, settings) {
      const file = fileURLToPath(new URL(`${role}.mjs`, import.meta.url))
      const child = fork(file, [JSON.stringify(settings)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
      children.set(role, child)
      child.on('message', onMessage)
      child.on('error', (error) => giveUp(`the ${role} could not start: ${error.message}`))
      // 'close' comes after the last message, 'exit' may come before.
      child.on('close', (status, signal) => {
        children.delete(role)
        if (status !== 0) giveUp(`the ${role} ended with ${signal ?? `status ${status}`}`)
        else if (done === null) giveUp(`the ${role} ended too early`)
        if (children.size > 0) return
        clearTimeout(grace)
        resolve()
      })
    }

    function giveUp (reason) {
      if (!stopped) failed ??= reason
      for (const child of children.values()) child.kill('SIGTERM')
    }

    function onMessage (message) {
      switch (message.type) {
        case 'listening':
          start('client', { folder, parallel, port: message.port })
          break
        case 'listed':
          totals.allFiles = message.files
          totals.allBytes = message.bytes
          began = performance.now()
          break
        case 'received':
          totals.files = message.files
          totals.bytes = message.bytes
          totals.rate = message.bytes / ((performance.now() - began) / 1000)
          transfers = message.transfers
          break
        case 'rtt':
          totals.rtt = message.last
          break
        case 'done':
          done = message
          grace = setTimeout(() => giveUp(`the ${[...children.keys()].join(' and the ')} did not end by itself`), GRACE)
          break
        case 'failed':
          giveUp(message.reason)
          break
      }
    }

    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.on(signal, () => {
        stopped = true
        giveUp(signal)
      })
    }
    start('server', { into, temporary })
  })

  await left
  shown.stop()
  return { done, failed, stopped }
}

function printReasons (title, list) {
  if (list.length === 0) return
  console.log(title)
  for (const { name, reason } of list.slice(0, REASONS_SHOWN)) console.log(`  ${printable(name)}: ${reason}`)
  if (list.length > REASONS_SHOWN) console.log(`  and ${(list.length - REASONS_SHOWN).toLocaleString('en')} more`)
}

/** Prints the totals; returns the exit status. */
function judge ({ done, failed, stopped }) {
  if (stopped) {
    console.log('interrupted; nothing was kept running')
    return 130
  }
  if (done) {
    const { received, seconds, sent, skipped, rtt, bytesWritten } = done
    console.log(`${count(received.files, 'file')}, ${size(received.bytes)} in ${seconds.toFixed(2)} s: ` +
      `${size(received.bytes / seconds)}/s over one connection (${size(bytesWritten)} on the wire)`)
    console.log(`round trip meanwhile: p50 ${milliseconds(rtt.p50)}, p99 ${milliseconds(rtt.p99)}, ` +
      `longest ${milliseconds(rtt.max)}, ${count(rtt.count, 'ping')}`)
    console.log(`SHA-256: ${received.verified.toLocaleString('en')} of ${sent.toLocaleString('en')} verified, ` +
      `${received.differing.toLocaleString('en')} differ, ${received.failed.toLocaleString('en')} failed`)
    printReasons('not as it should be:', received.reasons)
    printReasons(`skipped: ${skipped.length.toLocaleString('en')}`, skipped)
    if (!failed && received.verified === sent) return 0
  }
  if (failed) console.error(failed)
  return 1
}

async function main () {
  const settings = settingsOf(process.argv.slice(2))
  if (settings.help) {
    console.log(USAGE)
    return 0
  }
  const where = target(settings.into)
  console.log(`${settings.folder}, up to ${count(settings.parallel, 'file')} at a time`)
  try {
    return judge(await transfer(settings, where))
  } finally {
    if (where.temporary) rmSync(where.into, { recursive: true, force: true })
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  const usage = error instanceof UsageError || error.code?.startsWith('ERR_PARSE_ARGS')
  console.error(usage ? `${error.message}\n\n${USAGE}` : error)
  process.exitCode = usage ? 2 : 1
}
