// Runs the commands of the launchers. This file may need nothing that `npm ci` installs.

import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

// npm runs a script in the package's folder, wherever npm was called. Files named in the arguments are relative to
// callerFolder.
export const callerFolder = process.env.INIT_CWD ?? process.cwd()

// Short enough that nobody takes a silent build for a hung one, and long enough not to drown its output.
const HEARTBEAT = 60_000

// Short enough for a user who has just stopped npm and checks what still runs.
const PARENT_INTERVAL = 300

const running = new Set()
let interrupted

export function seconds (since) {
  const s = (performance.now() - since) / 1000
  return s < 100 ? `${s.toFixed(1)} s` : `${Math.floor(s / 60)} min ${String(Math.floor(s % 60)).padStart(2, '0')} s`
}

// Messages go to standard error, so that standard output has only what the launched program writes.
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
    // A terminal sends its ^C to the whole process group, so the children have it already.
    if (signal !== 'SIGINT' || !process.stdin.isTTY) for (const child of running) child.kill(signal)
    if (running.size === 0) leave()
  })
}

// npm passes a signal to the shell in which it runs a script, and some shells die of it without telling the script.
if (process.env.npm_lifecycle_event !== undefined) {
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent && interrupted === undefined) process.kill(process.pid, 'SIGTERM')
  }, PARENT_INTERVAL).unref()
}

// Ends as a process that the signal killed, so that the caller's shell sees the signal, too.
function leave () {
  process.removeAllListeners(interrupted)
  process.kill(process.pid, interrupted)
}

// Resolves with { code, stdout } whatever the exit code; rejects if there is no such command. A command that may be
// silent for long is reported as still running under the name `heartbeat`. `isLast` says that nothing follows the
// command: if a signal ends it, the exit code that the command chooses counts.
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

// Runs the main function of a launcher. Its result is the exit code; a Failure is shown as one line.
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
