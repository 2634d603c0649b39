#!/usr/bin/env node
// Runs workloads over contestants, in two processes each, interleaved run by run, and prints medians as Markdown. This
// file is the core only: contestants/ and workloads/ have one file each (README.md has both interfaces).

import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { plan as planOf, usage } from './lib/arguments.mjs'
import { machine, ownVersion, versionOf } from './lib/machine.mjs'
import { startProgress } from './lib/progress.mjs'
import { section } from './lib/report.mjs'
import { writeSection } from './lib/section.mjs'
import { countOf, entrants, runJob, schedule } from './lib/schedule.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

const namesIn = (folder) => readdirSync(new URL(folder, import.meta.url))
  .filter((file) => file.endsWith('.mjs')).map((file) => file.slice(0, -4))

async function load (folder, names) {
  const loaded = []
  for (const name of names) {
    try {
      loaded.push({ name, module: await import(new URL(`${folder}/${name}.mjs`, import.meta.url)) })
    } catch (error) {
      const hint = error.code === 'ERR_MODULE_NOT_FOUND' ? ' (npm ci in benchmark/ installs the contestants)' : ''
      throw new Error(`${folder}/${name}.mjs: ${error.message}${hint}`, { cause: error })
    }
  }
  return loaded
}

function write (file, text) {
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, text)
}

async function report (record, folder, title) {
  // The import is here because what the command line names can run without the packages that draw the plots.
  const { writeReport } = await import('./lib/document.mjs')
  const put = (name, text) => write(path.join(folder, name), text)
  const read = (name) => existsSync(path.join(folder, name)) ? readFileSync(path.join(folder, name), 'utf8') : ''
  const files = title === undefined
    ? writeReport(record, put, read)
    : writeSection(record, title, { read, write: put })
  for (const file of files) {
    process.stderr.write(`wrote ${path.relative('', path.join(folder, file))}\n`)
  }
}

function commandOf (argv) {
  return ['npm run bench', ...(argv.length > 0 ? ['--', ...argv] : [])].join(' ')
}

// Whether a failure is a defect: a contestant from npm, or one that is known to lose data, may fail; Node and this
// package may not.
function isDefect (workload, entrant) {
  const { module } = entrant
  return !workload.mayFail && !module.packageName && !entrant.features.lossy &&
    workload.outcomes[entrant.id]?.some(({ error }) => error !== undefined)
}

async function measure (plan, argv, signal) {
  const contestants = await load('contestants', plan.contestants)
  const all = entrants(contestants, plan.wires)
  const jobs = schedule({ workloads: await load('workloads', plan.workloads), entrants: all, plan })
  const where = machine(plan.cpus)
  const record = {
    date: new Date().toISOString(),
    command: commandOf(argv),
    machine: where,
    version: ownVersion(),
    contestants: all.map(({ id, title, module, features }) => ({
      id, title, packageName: module.packageName ?? null, version: versionOf(module.packageName), lossy: features.lossy
    })),
    workloads: []
  }
  console.log(`Node ${where.node}, ${where.cores} × ${where.cpu}, ${where.system}, ` +
    `both processes on CPUs: ${where.cpus}, load ${where.load.toFixed(2)} at the start.\n`)

  const progress = await startProgress(jobs.reduce((sum, job) => sum + countOf(job), 0))
  let hasDefect = false
  try {
    for (const job of jobs) {
      const workload = await runJob(job, { plan, signal, progress })
      if (workload === undefined) return undefined
      record.workloads.push(workload)
      hasDefect ||= all.some((entrant) => isDefect(workload, entrant))
      progress.pause()
      console.log(section(workload, record.contestants).join('\n') + '\n')
      if (plan.json) write(plan.json, JSON.stringify(record, null, 2) + '\n')
      progress.resume()
    }
  } finally {
    progress.pause()
  }
  if (hasDefect) process.exitCode = 1
  return record
}

async function main () {
  const argv = process.argv.slice(2)
  const all = { workloads: namesIn('workloads/'), contestants: namesIn('contestants/') }
  const plan = planOf(argv, all)
  if (plan.help) {
    console.log(usage(all))
    return
  }
  const stop = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => stop.abort())

  const record = plan.from === undefined
    ? await measure(plan, argv, stop.signal)
    : JSON.parse(readFileSync(plan.from, 'utf8'))
  const folder = plan.report ?? (plan.writesDocs ? path.join(root, 'docs') : undefined)
  if (record === undefined) process.exitCode = 130
  else if (folder !== undefined) await report(record, path.resolve(folder), plan.section)
}

main().catch((error) => {
  console.error(error.message)
  process.exitCode = 2
})
