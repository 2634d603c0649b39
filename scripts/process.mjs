// Runs the commands of the launchers. Node alone: nothing here may need what `npm ci` installs.

import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

// npm runs a script in the package's folder, wherever it was called: files named in its arguments are relative to this.
export const callerFolder = process.env.INIT_CWD ?? process.cwd()

// Often enough that nobody takes a silent build for a hung one, seldom enough not to drown its output.
const HEARTBEAT = 60_000

// Soon enough for whoever has just stopped npm and looks at what still runs.
const PARENT_INTERVAL = 300

const running = new Set()
let interrupted

export function seconds (since) {
  const s = (performance.now() - since) / 1000
  return s < 100 ? `${s.toFixed(1)} s` : `${Math.floor(s / 60)} min ${String(Math.floor(s % 60)).padStart(2, '0')} s`
}

// Standard error, so that the output of what is launched stays its own.
export function say (message) {
  process.stderr.write(`${message}\n`)
}

export class Failure extends Error {
  constructor (message, code = 1) {
    super(message)
    this.exitCode = code
  }
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interrupted = signal
    // A terminal gives its ^C to the whole process group: the children have it already.
    if (signal !== 'SIGINT' || !process.stdin.isTTY) for (const child of running) child.kill(signal)
    if (running.size === 0) leave()
  })
}

// npm hands a signal to the shell it runs a script with, and some shells die of it without a word to the script.
if (process.env.npm_lifecycle_event !== undefined) {
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent && interrupted === undefined) process.kill(process.pid, 'SIGTERM')
  }, PARENT_INTERVAL).unref()
}

// Ends as a process does that the signal killed, so that the caller's shell sees that too.
function leave () {
  process.removeAllListeners(interrupted)
  process.kill(process.pid, interrupted)
}

// Resolves with { code, stdout } whatever the exit code; rejects when there is no such command. `heartbeat` is the name
// under which a command that may be silent for long is reported as still running. `isLast` says that nothing follows
// this command: when a signal ends it, the exit code that it chooses for that counts.
export function run (command, args, { cwd = root, env, capture = false, heartbeat, isLast = false } = {}) {
  return new Promise((resolve, reject) => {
    const started = performance.now()
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['inherit', capture ? 'pipe' : 'inherit', 'inherit']
    })
    running.add(child)
    const timer = heartbeat && setInterval(() => say(`… ${heartbeat}: ${seconds(started)} so far`), HEARTBEAT)
    const over = () => {
      clearInterval(timer)
      running.delete(child)
    }
    let stdout = ''
    child.stdout?.setEncoding('utf8').on('data', (text) => { stdout += text })
    child.on('error', (error) => {
      over()
      reject(error.code === 'ENOENT' ? new Failure(`${command} was not found`, 127) : error)
    })
    child.on('close', (code, signal) => {
      over()
      if (interrupted && !(isLast && signal === null)) leave()
      else resolve({ code: code ?? 128 + constants.signals[signal], stdout })
    })
  })
}

// Runs a launcher's main function: what it returns is the exit code, a Failure is one line.
export async function main (launch) {
  try {
    if (Number.parseInt(process.versions.node) < 20) {
      throw new Failure(`Node 20 or later is needed, this is ${process.version}`)
    }
    process.exitCode = await launch(process.argv.slice(2)) ?? 0
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    say(`tcp-stream-muxer: ${error.message}`)
    process.exitCode = error.exitCode
  }
}
