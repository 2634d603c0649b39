// One end of a run, in a fresh process, so that no run inherits the heap, the JIT or the sockets of another. The
// process stays until the parent ends it: the other end must not see the connection break before it has reported its
// result.

import process from 'node:process'
import { Side } from './side.mjs'

const settings = JSON.parse(process.argv[2])
const early = []
process.on('message', (message) => early.push(message))
// The parent is gone: nobody wants the result.
process.on('disconnect', () => process.exit(1))

let side
function die (error) {
  // String() of some errors is empty, and only their stack says anything.
  const text = error?.message || error?.stack || String(error)
  process.send({ type: 'died', error: text, partial: side?.partial() ?? {} })
}
process.on('uncaughtException', die)

const [adapter, workload] = await Promise.all([
  import(`../contestants/${settings.contestant}.mjs`),
  import(`../workloads/${settings.workload}.mjs`)
])
side = new Side(settings, adapter)
process.removeAllListeners('message')
for (const { word, value } of early) side.onWord(word, value)
process.on('message', ({ word, value }) => side.onWord(word, value))

try {
  process.send({ type: 'result', result: await workload[settings.role](side) })
} catch (error) {
  die(error)
}
