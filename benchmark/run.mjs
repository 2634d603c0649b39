#!/usr/bin/env node
// Runs workloads over contestants, two processes each, interleaved run by run, and prints medians as Markdown.
// Core only: contestants live in contestants/, workloads in workloads/, one file each (README.md has both interfaces).

import { writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import os from 'node:os'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { runPair } from './lib/pair.mjs'
import { section, over } from './lib/report.mjs'
import { format } from './lib/statistics.mjs'

const BASE = 'original'
const DEFAULT_CONTESTANTS = 'ours,original'
const DEFAULT_WORKLOADS = 'small,open,bulk,strict,pingpong,leak'

const OPTIONS = {
  workload: { type: 'string', short: 'w', default: DEFAULT_WORKLOADS },
  contestants: { type: 'string', short: 'c', default: DEFAULT_CONTESTANTS },
  runs: { type: 'string', short: 'r', default: '5' },
  // Ten times what the slowest contestant needs on a slow machine: it is there to end a hang, not to judge.
  timeout: { type: 'string', default: '300' },
  host: { type: 'string', default: '127.0.0.1' },
  cpus: { type: 'string' },
  set: { type: 'string', multiple: true, default: [] },
  json: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false }
}

const available = async (folder) => (await readdir(new URL(folder, import.meta.url)))
  .filter((file) => file.endsWith('.mjs')).map((file) => file.slice(0, -4)).join(', ')

async function usage () {
  return `node benchmark/run.mjs [options]

  -w, --workload a,b      of: ${await available('workloads/')} (default: ${DEFAULT_WORKLOADS})
  -c, --contestants a,b   of: ${await available('contestants/')} (default: ${DEFAULT_CONTESTANTS})
  -r, --runs n            runs of each contestant, interleaved (default: ${OPTIONS.runs.default})
      --cpus list         runs both processes on these CPUs only, e.g. 0 or 0,1 (Linux, taskset)
      --set w.key=value   changes a parameter of workload w, e.g. small.messages=100000; may be repeated
      --timeout s         ends a run that hangs (default: ${OPTIONS.timeout.default})
      --host address      loopback address to use (default: ${OPTIONS.host.default})
      --json file         writes every single run there
  -h, --help

Progress goes to stderr, the tables to stdout.`
}

function positive (name, text) {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new TypeError(`--${name} wants a whole number above 0, not ${text}`)
  return value
}

function overrides (sets) {
  const byWorkload = {}
  for (const set of sets) {
    const match = /^(\w+)\.(\w+)=(\d+(?:\.\d+)?)$/.exec(set)
    if (!match) throw new TypeError(`--set wants workload.key=number, not ${set}`)
    const [, workload, key, value] = match
    ;(byWorkload[workload] ??= {})[key] = Number(value)
  }
  return byWorkload
}

async function load (folder, names) {
  const loaded = []
  for (const name of new Set(names.split(',').map((part) => part.trim()).filter(Boolean))) {
    const url = new URL(`${folder}/${name}.mjs`, import.meta.url)
    try {
      loaded.push({ name, module: await import(url) })
    } catch (error) {
      throw new Error(`${folder}/${name}.mjs: ${error.message}`, { cause: error })
    }
  }
  return loaded
}

const tty = process.stderr.isTTY
function progress (text, done = false) {
  if (tty) process.stderr.write(`\r\u001b[K${text}${done ? '\n' : ''}`)
  else if (done) process.stderr.write(`${text}\n`)
}

function outcomeOf (workload, raw, params) {
  if (raw.error) return raw
  try {
    const metrics = workload.summarize({ ...raw, params })
    return { metrics: { ...metrics, cpuServer: raw.cpu.server, cpuClient: raw.cpu.client } }
  } catch (error) {
    return { error: error.message }
  }
}

async function main () {
  const { values } = parseArgs({ options: OPTIONS })
  if (values.help) {
    console.log(await usage())
    return
  }
  const runs = positive('runs', values.runs)
  const timeout = positive('timeout', values.timeout) * 1000
  const sets = overrides(values.set)
  const contestants = await load('contestants', values.contestants)
  const workloads = await load('workloads', values.workload)

  const stop = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => stop.abort())

  const machine = {
    node: process.version,
    cpu: os.cpus()[0]?.model ?? 'unknown',
    cores: os.availableParallelism(),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    cpus: values.cpus ?? 'all',
    load: os.loadavg()[0]
  }
  const record = { date: new Date().toISOString(), machine, runs, workloads: {} }
  console.log(`Node ${machine.node}, ${machine.cores} × ${machine.cpu}, ${machine.system}, ` +
    `both processes on CPUs: ${machine.cpus}, load ${machine.load.toFixed(2)} at the start.\n`)

  let failures = 0
  for (const { name, module: workload } of workloads) {
    const params = { ...workload.defaults, ...sets[name] }
    const eligible = contestants.filter(({ module }) => !workload.accepts || workload.accepts(module.features))
    const results = new Map(eligible.map(({ name }) => [name, []]))
    const primary = workload.metrics[0]
    for (let run = 0; run < runs && !stop.signal.aborted; run++) {
      // Each run begins with another contestant: whatever drifts on the machine is not always the same one's bad luck.
      for (let turn = 0; turn < eligible.length && !stop.signal.aborted; turn++) {
        const contestant = eligible[(run + turn) % eligible.length].name
        const label = `${name} run ${run + 1}/${runs} ${contestant}`
        progress(`${label} …`)
        const began = performance.now()
        const client = { contestant }
        const server = workload.receiver ?? client
        const raw = await runPair({ workload: name, server, client, params, host: values.host, timeout, cpus: values.cpus, signal: stop.signal })
        if (stop.signal.aborted) break
        const outcome = outcomeOf(workload, raw, params)
        results.get(contestant).push(outcome)
        if (outcome.error) failures++
        const told = outcome.error ?? `${format(outcome.metrics[primary.key])} ${primary.title}`
        progress(`${label}: ${told} (${((performance.now() - began) / 1000).toFixed(1)} s)`, true)
      }
    }
    if (stop.signal.aborted) break
    const shown = eligible.map(({ name, module }) => ({ name, title: module.title }))
    console.log(section({ name, workload, params, contestants: shown, results, base: BASE, runs }).join('\n') + '\n')
    record.workloads[name] = {
      params,
      contestants: Object.fromEntries([...results].map(([contestant, outcomes]) => [contestant, {
        medians: Object.fromEntries(workload.metrics.map(({ key }) => [key, over(outcomes, key)?.median ?? null])),
        runs: outcomes
      }]))
    }
    if (values.json) writeFileSync(values.json, JSON.stringify(record, null, 2) + '\n')
  }
  if (stop.signal.aborted) process.exitCode = 130
  else if (failures > 0) process.exitCode = 1
}

main().catch((error) => {
  console.error(error.message)
  process.exitCode = 2
})
