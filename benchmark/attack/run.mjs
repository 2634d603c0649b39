// npm run bench:attack [-- KIND…]: measures what a neighbour notices of 50 connections that flood the server. Plain
// sockets are measured beside it, with as many events, or, with ATTACK_UNPACED=1, with as many as the sockets take.
// ATTACK_CONNECTIONS, ATTACK_SECONDS and ATTACK_RUNS change the numbers; ATTACK_SUBJECT is another folder of this
// package to measure.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'

const KINDS = ['message', 'open', 'open-reconnect', 'open-legacy', 'reset', 'reset-reconnect', 'stop-reconnect', 'meta',
  'meta-legacy']
// The neighbour's latency beside this package may be at most so many times that beside plain sockets.
const GOAL = 3

const env = (name, fallback) => Number(process.env[name] ?? fallback)
const connections = env('ATTACK_CONNECTIONS', 50)
const seconds = env('ATTACK_SECONDS', 4)
const runs = env('ATTACK_RUNS', 3)
// Whether plain sockets carry only as many events a second as this package did.
const isPaced = env('ATTACK_UNPACED', 0) === 0
const subject = process.env.ATTACK_SUBJECT ?? fileURLToPath(new URL('../..', import.meta.url))

// The time in which attackers connect and queues fill.
const WARM_UP = 1000

const end = fileURLToPath(new URL('end.mjs', import.meta.url))

async function start (role, setup) {
  const child = fork(end, [JSON.stringify({ ...setup, role })])
  const reply = async () => (await once(child, 'message'))[0].value
  const ask = (question) => {
    child.send({ ask: question })
    return reply()
  }
  return { child, ask, value: await reply() }
}

async function measure (kind, isPlain, rate) {
  const setup = { subject, kind, isPlain, connections, rate }
  const server = await start('server', setup)
  const here = { ...setup, port: server.value }
  const neighbour = await start('neighbour', here)
  const attackers = await start('attackers', here)
  await sleep(WARM_UP)
  await Promise.all([neighbour.ask('mark'), server.ask('mark')])
  await sleep(1000 * seconds)
  const [trips, load] = await Promise.all([neighbour.ask('result'), server.ask('result')])
  for (const { child } of [neighbour, attackers, server]) {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  return { ...trips, ...load, rate: load.count / seconds }
}

const median = (results, key) => results.map((result) => result[key]).sort((a, b) => a - b)[results.length >> 1]
const ms = (value) => value.toFixed(2).padStart(8)

const kinds = process.argv.length > 2 ? process.argv.slice(2) : KINDS
console.log(`A neighbour's round trips beside ${connections} connections, ms; medians of ${runs} runs of ${seconds} s\n`)
console.log(`${'attack'.padEnd(16)} at       ${['p50', 'p99', 'max', 'loop p99', 'loop max'].map((t) => t.padStart(8)).join(' ')}   events/s  MB`)
let missed = 0
for (const kind of kinds) {
  const results = [[], []]
  for (let i = 0; i < runs; i++) {
    const ours = await measure(kind, false)
    results[0].push(ours)
    results[1].push(await measure(kind, true, isPaced ? ours.rate : null))
  }
  results.forEach((list, i) => {
    const numbers = ['p50', 'p99', 'max', 'loop', 'longest'].map((key) => ms(median(list, key)))
    console.log(kind.padEnd(16), ['ours', 'net '][i], '   ', numbers.join(' '),
      String(Math.round(median(list, 'rate'))).padStart(10), (median(list, 'rss') / 2 ** 20).toFixed(0).padStart(4))
  })
  const ratio = median(results[0], 'p99') / median(results[1], 'p99')
  if (ratio > GOAL) missed++
  console.log(`${''.padEnd(16)} p99 is ${ratio.toFixed(1)} times net's${ratio > GOAL ? `, more than ${GOAL}` : ''}`)
}
process.exitCode = missed > 0 ? 1 : 0
