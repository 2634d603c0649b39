// The measured time of a run: begins after a warm-up, lasts a number of seconds, and is equal at both ends, which share
// a clock. The end that counts opens the window, and the other one follows. Timers take the marks, so that a message
// pays nothing for being measured.

import { readFileSync } from 'node:fs'
import process from 'node:process'
import { now } from './side.mjs'

/** CPU seconds of the process so far, threads of an addon included, and of its JavaScript thread (Linux; else null). */
export function cpuNow () {
  const { user, system } = process.cpuUsage()
  return { process: (user + system) / 1e6, thread: threadSeconds() }
}

// The first field is the nanoseconds on a CPU. The main thread has the number of its process.
function threadSeconds () {
  try {
    return Number.parseInt(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1')) / 1e9
  } catch {
    return null
  }
}

function mark (units) {
  return { at: now(), units, ...cpuNow() }
}

function between (first, last) {
  return {
    units: last.units - first.units,
    elapsed: (last.at - first.at) / 1e9,
    process: last.process - first.process,
    thread: first.thread === null ? null : last.thread - first.thread
  }
}

function until (time) {
  return new Promise((resolve) => { setTimeout(resolve, Math.max(0, (time - now()) / 1e6)) })
}

async function span (from, to, units, onBegin) {
  await until(from)
  const first = mark(units())
  onBegin?.()
  await until(to)
  return between(first, mark(units()))
}

/** Opens the window, and resolves with its { units, elapsed, process, thread }. `units` counts what is measured. */
export function openWindow (side, units, onBegin) {
  const from = now() + side.params.warmUp * 1e9
  const to = from + side.params.seconds * 1e9
  side.tell('window', { from, to })
  return span(from, to, units, onBegin)
}

/** Follows the window at the other end, which counts nothing. */
export async function followWindow (side) {
  const { from, to } = await side.hear('window')
  return span(from, to, () => 0)
}

/** CPU seconds for `scale` units, from both ends of a window. The end that counts has their rate. */
export function cpuOf ({ sender, receiver, rate }, scale) {
  const per = ({ elapsed }, seconds) => seconds === null ? null : seconds / (rate * elapsed) * scale
  return {
    cpuSender: per(sender, sender.process),
    threadSender: per(sender, sender.thread),
    cpuReceiver: per(receiver, receiver.process),
    threadReceiver: per(receiver, receiver.thread)
  }
}
