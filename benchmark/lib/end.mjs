// One end of a run: a fresh process for each, so that no run inherits the other's heap, JIT or sockets.

import process from 'node:process'
import { Side } from './side.mjs'

const settings = JSON.parse(process.argv[2])
const [adapter, workload] = await Promise.all([
  import(`../contestants/${settings.contestant}.mjs`),
  import(`../workloads/${settings.workload}.mjs`)
])
const side = new Side(settings, adapter)

function leave (message, status) {
  process.send({ ...message, cpu: process.cpuUsage(cpuAtStart) }, () => process.exit(status))
}

// The parent is gone: nobody wants the result.
process.on('disconnect', () => process.exit(1))

process.on('uncaughtException', (error) => {
  leave({ type: 'died', error: String(error?.message ?? error), partial: side.partial() }, 1)
})

process.on('message', ({ word, value }) => side.onWord(word, value))

const cpuAtStart = process.cpuUsage()
const result = await workload[settings.role](side)
leave({ type: 'result', result }, 0)
