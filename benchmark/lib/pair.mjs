// Runs one workload once: a server process and a client process on loopback. Knows nothing of contestants or metrics.

import { fork } from 'node:child_process'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const END = fileURLToPath(new URL('end.mjs', import.meta.url))

/** On some CPUs only, by taskset: where the scheduler puts two processes can matter more than what they do. */
function launch (cpus) {
  if (!cpus) return { execArgv: ['--expose-gc'] }
  return { execPath: 'taskset', execArgv: ['-c', cpus, process.execPath, '--expose-gc'] }
}

/** Resolves with { server, client, cpu } or with { error, partial }; it rejects never, since a death is a result too. */
export function runPair ({ workload, server, client, params, host, timeout, cpus, signal }) {
  return new Promise((resolve) => {
    const children = {}
    const results = {}
    const cpu = {}
    let over = false

    function finish (outcome) {
      if (over) return
      over = true
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      let open = Object.keys(children).length
      for (const child of Object.values(children)) {
        const gone = () => { if (--open === 0) resolve(outcome) }
        if (child.exitCode !== null || child.signalCode !== null) gone()
        else {
          child.once('exit', gone)
          if (outcome.error) child.kill('SIGKILL')
        }
      }
    }

    function start (role, end, port) {
      const settings = { role, workload, params, host, port, contestant: end.contestant, options: end.options ?? {} }
      const child = children[role] = fork(END, [JSON.stringify(settings)], launch(cpus))
      child.on('message', (message) => onMessage(role, message))
      child.on('error', (error) => finish({ error: `${role}: ${error.message}` }))
      // 'close', not 'exit': it comes after the last message.
      child.on('close', (status, signalName) => {
        if (!(role in results)) finish({ error: `${role} left with ${signalName ?? `status ${status}`}` })
      })
    }

    function onMessage (role, message) {
      switch (message.type) {
        case 'listening':
          start('client', client, message.port)
          break
        case 'word': {
          const other = children[role === 'server' ? 'client' : 'server']
          if (other?.connected) other.send({ word: message.word, value: message.value })
          break
        }
        case 'died':
          finish({ error: `${role}: ${message.error}`, partial: message.partial })
          break
        case 'result':
          results[role] = message.result ?? {}
          // Microseconds of user and system time; the threads of an addon are in it.
          cpu[role] = (message.cpu.user + message.cpu.system) / 1e6
          if ('server' in results && 'client' in results) finish({ ...results, cpu })
          break
      }
    }

    const onAbort = () => finish({ error: 'stopped' })
    const timer = setTimeout(() => finish({ error: `no result within ${timeout / 1000} s` }), timeout)
    signal?.addEventListener('abort', onAbort)
    start('server', server)
  })
}
