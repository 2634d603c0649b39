// Runs one workload once: a server process and a client process on loopback. This file knows no contestant and no
// metric.

import { fork } from 'node:child_process'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const END = fileURLToPath(new URL('end.mjs', import.meta.url))
const LINK = fileURLToPath(new URL('link.mjs', import.meta.url))

/**
 * Runs the process on some CPUs only, by taskset: where the scheduler puts two processes can matter more than what they
 * do.
 */
function launch (cpus, flags) {
  const execArgv = ['--expose-gc', ...flags]
  if (!cpus) return { execArgv }
  return { execPath: 'taskset', execArgv: ['-c', cpus, process.execPath, ...execArgv] }
}

/**
 * `server` and `client` are { contestant, options }; `flags` are Node's. `link`, if there is one, is { roundTrip,
 * megabytes } for lib/link.mjs, a third process. Resolves with { server, client } or with { error, partial }. runPair()
 * never rejects, because a death is a result too.
 */
export function runPair ({ workload, server, client, params, link, host, timeout, cpus, flags = [], signal }) {
  return new Promise((resolve) => {
    const children = {}
    const results = {}
    let over = false

    function finish (outcome) {
      if (over) return
      over = true
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      let open = Object.keys(children).length
      for (const child of Object.values(children)) {
        const gone = () => { if (--open === 0) resolve(outcome) }
        if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) gone()
        else {
          child.once('exit', gone)
          child.kill('SIGKILL')
        }
      }
    }

    function startEnd (role, { contestant, options = {} }) {
      start(role, END, { role, workload, params, host, contestant, options }, flags)
    }

    function start (role, program, settings, flags = []) {
      const child = children[role] = fork(program, [JSON.stringify(settings)], launch(cpus, flags))
      child.on('message', (message) => onMessage(role, message))
      child.on('error', (error) => finish({ error: `${role}: ${error.message}` }))
      // 'close' comes after the last message, 'exit' may come before.
      child.on('close', (status, signalName) => {
        if (!(role in results)) finish({ error: `${role} left with ${signalName ?? `status ${status}`}` })
      })
    }

    function say (role, word, value) {
      const child = children[role]
      // A child that has just died closes its channel before the parent is told.
      if (child.connected) child.send({ word, value }, () => {})
    }

    function onMessage (role, message) {
      switch (message.type) {
        case 'listening':
          say(role === 'server' && link ? 'link' : 'client', 'listening', message.port)
          break
        case 'word':
          say(role === 'server' ? 'client' : 'server', message.word, message.value)
          break
        case 'died':
          // The first death is the cause. An end that has reported its result may die of the other end's death.
          if (!(role in results)) finish({ error: `${role}: ${message.error}`, partial: message.partial })
          break
        case 'result':
          results[role] = message.result ?? {}
          if ('server' in results && 'client' in results) finish(results)
          break
      }
    }

    const onAbort = () => finish({ error: 'stopped' })
    const timer = setTimeout(() => finish({ error: `no result within ${timeout / 1000} s` }), timeout)
    signal?.addEventListener('abort', onAbort)
    // Both ends start at once: a process takes long to start, and the client waits for the server anyway.
    startEnd('server', server)
    startEnd('client', client)
    if (link) start('link', LINK, { host, ...link })
  })
}
