#!/usr/bin/env node
// Flame graphs of both hot paths. A sender process floods a receiver process with small messages, and both run under
// Linux perf. One graph for each end shows what they spend their time on, and a list shows it thread by thread.
//
// The addon that is profiled has symbols and frame pointers, and is in a copy of the package under target/. The addon
// in the package's root stays as it is.

import { fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { binary } from '../../scripts/addon.mjs'
import { Failure, main, root, run, say } from '../../scripts/process.mjs'
import { folded, parse, summary, threadName } from './samples.mjs'

const END = fileURLToPath(new URL('profile-end.mjs', import.meta.url))
const TARGET = path.resolve(root, process.env.CARGO_TARGET_DIR ?? 'target')
const FOLDER = path.join(TARGET, 'profile')
const TOOLS = path.join(TARGET, 'tools')
const FLAMEGRAPH = path.join(TOOLS, 'bin', 'inferno-flamegraph')
const V8_LOG = path.join(FOLDER, 'v8.log')
const INFERNO = '0.12.8'

// Samples a second of processor time. The number is not round, because a round one could beat with timers.
const FREQUENCY = 999

// Milliseconds until V8 has compiled the hot paths for good.
const WARM_UP = 3000

const OPTIONS = {
  size: { type: 'string', default: '64' },
  seconds: { type: 'string', default: '10' },
  name: { type: 'string', default: 'latest' },
  help: { type: 'boolean', short: 'h', default: false }
}

const USAGE = `node benchmark/micro/profile.mjs [options]

      --size bytes      of a message (default: ${OPTIONS.size.default})
      --seconds s       to record (default: ${OPTIONS.seconds.default})
      --name name       of the folder of the results under target/profile/, e.g. before (default: ${OPTIONS.name.default})
  -h, --help

Needs Linux, perf and Rust. Builds an addon with symbols; installs inferno ${INFERNO} under target/tools the first time.`

function checkPerf () {
  if (process.platform !== 'linux') throw new Failure('profiling is by Linux perf: there is none on this system')
  if (spawnSync('perf', ['--version']).status !== 0) {
    throw new Failure('perf is not installed (Debian: apt-get install linux-perf; Ubuntu: linux-tools-generic; ' +
      'Fedora: dnf install perf)')
  }
  const paranoid = Number(fs.readFileSync('/proc/sys/kernel/perf_event_paranoid', 'utf8'))
  if (process.getuid() === 0) return
  if (paranoid > 2) {
    throw new Failure(`kernel.perf_event_paranoid is ${paranoid}: perf may record nothing; ` +
      'sysctl kernel.perf_event_paranoid=1 allows it')
  }
  if (paranoid > 1) say(`kernel.perf_event_paranoid is ${paranoid}: what the kernel does stays hidden; 1 shows it`)
}

async function cargo (args, env, heartbeat) {
  const { code } = await run('cargo', args, { env, heartbeat })
  if (code !== 0) throw new Failure(`cargo ${args[0]} ended with exit code ${code}`, code)
}

async function build () {
  say('The addon with symbols; from nothing it takes a minute or more')
  await cargo(['rustc', '--release', '--lib', '--crate-type', 'cdylib', '--locked'], {
    CARGO_TARGET_DIR: FOLDER,
    CARGO_PROFILE_RELEASE_DEBUG: 'line-tables-only',
    CARGO_PROFILE_RELEASE_STRIP: 'none',
    // Stacks are found by frame pointers, which is the one way through compiled JavaScript.
    RUSTFLAGS: `${process.env.RUSTFLAGS ?? ''} -C force-frame-pointers=yes`
  }, 'building the addon')
  // lib/binding.js prefers the addon that lies beside package.json.
  const copy = path.join(FOLDER, 'package')
  fs.rmSync(copy, { recursive: true, force: true })
  fs.mkdirSync(copy, { recursive: true })
  for (const name of ['index.js', 'package.json', 'lib']) {
    fs.cpSync(path.join(root, name), path.join(copy, name), { recursive: true })
  }
  fs.copyFileSync(path.join(FOLDER, 'release', 'libtcp_stream_muxer.so'), path.join(copy, path.basename(binary)))
  return copy
}

async function installInferno () {
  const installed = spawnSync(FLAMEGRAPH, ['--version'], { encoding: 'utf8' }).stdout ?? ''
  if (installed.includes(INFERNO)) return
  say(`inferno ${INFERNO}, once`)
  await cargo(['install', 'inferno', '--version', INFERNO, '--locked', '--root', TOOLS], {}, 'installing inferno')
}

function start (role, settings) {
  // With that option V8 writes a log as well, which nobody reads.
  const execArgv = ['--perf-basic-prof', '--no-logfile-per-isolate', `--logfile=${V8_LOG}`]
  const child = fork(END, [JSON.stringify({ role, ...settings })], { execArgv })
  child.once('exit', (code, signal) => {
    if (signal !== 'SIGKILL') say(`the ${role} left with ${signal ?? `exit code ${code}`}`)
  })
  return child
}

// Resolves with one message, or rejects at the end of the process.
async function heard (child) {
  const over = new AbortController()
  const message = once(child, 'message', { signal: over.signal })
  const exit = once(child, 'exit', { signal: over.signal }).then(() => {
    throw new Failure('one of the two processes died')
  })
  for (const promise of [message, exit]) promise.catch(() => {})
  try {
    return (await Promise.race([message, exit]))[0]
  } finally {
    over.abort()
  }
}

// The ticks of all processors since the machine started: all of them, and those in which nothing ran.
function machineTimes () {
  const [, ...ticks] = fs.readFileSync('/proc/stat', 'utf8').split('\n', 1)[0].split(/\s+/).slice(0, 9).map(Number)
  const [,,, idle, waiting] = ticks
  return { all: ticks.reduce((sum, value) => sum + value, 0), idle: idle + waiting }
}

// The times of each thread, nanoseconds: on a processor, and ready for one.
function threadTimes (pid) {
  const times = {}
  for (const tid of fs.readdirSync(`/proc/${pid}/task`)) {
    const name = fs.readFileSync(`/proc/${pid}/task/${tid}/comm`, 'utf8').trim()
    const thread = threadName(name, Number(tid) === pid)
    let text
    try {
      text = fs.readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8')
    } catch {
      return undefined // a kernel without
    }
    const [ran, waited] = text.split(' ').map(Number)
    const sum = times[thread] ??= { ran: 0, waited: 0 }
    sum.ran += ran
    sum.waited += waited
  }
  return times
}

function spent (before, after, messages, nanoseconds) {
  if (before === undefined || after === undefined) return 'no times of threads: this kernel keeps none\n'
  return Object.entries(after).map(([thread, { ran, waited }]) => {
    const [own, ready] = [ran - (before[thread]?.ran ?? 0), waited - (before[thread]?.waited ?? 0)]
    const percent = (value) => (100 * value / nanoseconds).toFixed(0)
    return `${thread}: ${(own / messages).toFixed(1)} ns of processor per message; ` +
      `ran ${percent(own)} % of the time, was ready and had to wait ${percent(ready)} %\n`
  }).join('')
}

async function record (child, file, seconds) {
  const args = ['record', '-q', '-F', String(FREQUENCY), '--call-graph', 'fp', '-p', String(child.pid), '-o', file]
  const { code } = await run('perf', [...args, '--', 'sleep', String(seconds)])
  if (code !== 0) throw new Failure(`perf record ended with exit code ${code}`, code)
}

async function samplesOf (child, file) {
  const fields = ['script', '--no-inline', '-F', 'comm,tid,ip,sym,dso', '-i', file]
  const { code, stdout } = await run('perf', fields, { capture: true })
  if (code !== 0) throw new Failure(`perf script ended with exit code ${code}`, code)
  return parse(stdout, child.pid, [path.join(FOLDER, 'package'), path.resolve(root)])
}

function draw (samples, file, title) {
  const args = ['--title', title, '--colors', 'java', '--hash', '--countname', 'samples']
  const { status, stdout, stderr } = spawnSync(FLAMEGRAPH, args, {
    input: folded(samples), encoding: 'utf8', maxBuffer: 1 << 28
  })
  if (status !== 0) throw new Failure(`inferno-flamegraph ended with exit code ${status}: ${stderr}`)
  fs.writeFileSync(file, stdout)
}

function positive (name, text) {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Failure(`--${name} wants a whole number above 0, not ${text}`)
  return value
}

main(async (argv) => {
  const { values } = parseArgs({ args: argv, options: OPTIONS })
  if (values.help) return console.log(USAGE)
  const [size, seconds] = [positive('size', values.size), positive('seconds', values.seconds)]
  if (!/^[\w.-]+$/.test(values.name)) throw new Failure(`--name wants a folder's name, not ${values.name}`)
  checkPerf()
  const folder = await build()
  await installInferno()
  const out = path.join(FOLDER, values.name)
  fs.mkdirSync(out, { recursive: true })
  const ends = {}
  try {
    ends.receiver = start('receiver', { folder, size })
    const { port } = await heard(ends.receiver)
    ends.sender = start('sender', { folder, size, port })
    await heard(ends.sender)
    await delay(WARM_UP)
    const names = Object.keys(ends)
    const look = async () => {
      const count = heard(ends.receiver)
      ends.receiver.send('count')
      return { ...await count, machine: machineTimes(), threads: names.map((name) => threadTimes(ends[name].pid)) }
    }
    say(`Recording ${seconds} s`)
    const before = await look()
    await Promise.all(names.map((name) => record(ends[name], path.join(out, `${name}.data`), seconds)))
    const after = await look()
    const [messages, ms] = [after.messages - before.messages, after.at - before.at]
    const [all, idle] = ['all', 'idle'].map((key) => after.machine[key] - before.machine[key])
    let text = `${size}-byte messages over one stream, Node ${process.version}: ` +
      `${(messages / ms / 1000).toFixed(3)} million a second under perf\n` +
      `${os.availableParallelism()} processors, busy ${(100 * (all - idle) / all).toFixed(0)} % of the time\n`
    for (const [index, name] of names.entries()) {
      const samples = await samplesOf(ends[name], path.join(out, `${name}.data`))
      draw(samples, path.join(out, `${name}.svg`), `${name}, ${size}-byte messages`)
      text += `\n== ${name}\n\n${spent(before.threads[index], after.threads[index], messages, ms * 1e6)}\n`
      text += summary(samples)
    }
    fs.writeFileSync(path.join(out, 'summary.txt'), text)
    console.log(text)
    say(`Written to ${path.relative(root, out)}: ${names.map((name) => `${name}.svg`).join(', ')}, summary.txt`)
  } finally {
    fs.rmSync(V8_LOG, { force: true })
    for (const child of Object.values(ends)) {
      child.kill('SIGKILL')
      // perf finds V8's names of its code in this file.
      fs.rmSync(`/tmp/perf-${child.pid}.map`, { force: true })
    }
  }
})
