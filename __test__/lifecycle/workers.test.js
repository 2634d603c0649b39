'use strict'

// Worker threads that load the addon, use it and leave, in any order. Each scenario is a process of its own: what must not
// happen is that it dies of a signal.

const test = require('node:test')
const assert = require('node:assert/strict')
const { run } = require('../support/child.js')

for (const [scenario, title] of [
  ['one-by-one', '50 workers start, use the addon and leave, one after the other'],
  ['overlapping', '50 workers start, use the addon and leave in any order, four at a time, beside a busy main thread'],
  ['exit', '50 workers leave by process.exit() with connections and a server open'],
  ['terminate', '50 workers are terminated in the middle of their traffic'],
  ['load-only', '50 workers load the addon and leave without using it'],
  ['throw', '50 workers end by an error thrown in a listener'],
  ...(process.platform === 'linux' ? [['share', '3 workers listen on one port, and each gets connections']] : []),
  ['main-first', 'the process exits while workers are in the middle of their traffic']
]) {
  test(title, { timeout: 90_000 }, async (t) => {
    const child = run(t, 'workers.js', [scenario])
    const { code, signal, stderr, stdout } = await child.exit(80_000)
    assert.equal(signal, null, stderr)
    assert.equal(code, 0, stderr)
    assert.match(stdout, /^done$/m)
  })
}
