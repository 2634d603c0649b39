'use strict'

// What holds between two new ends holds on the legacy wire, too: the files beside this one, with ends that make no offer.
// Not those whose programs choose their own options.

const test = require('node:test')
const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const { once } = require('node:events')
const path = require('node:path')

for (const name of ['callbacks', 'client', 'connection', 'create-stream', 'errors', 'files', 'halves', 'unclaimed', 'values']) {
  test(`${name} on the legacy wire`, { timeout: 180_000 }, async () => {
    // The runner tells its children by the environment how to report.
    const { NODE_TEST_CONTEXT, NODE_OPTIONS, ...env } = process.env
    const child = spawn(process.execPath, ['--test', '--test-reporter=tap', path.join(__dirname, `${name}.test.js`)], {
      env: { ...env, MUX_TEST_PROTOCOL: 'legacy' }, stdio: ['ignore', 'pipe', 'pipe']
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { output += chunk })
    const [code] = await once(child, 'close')
    assert.equal(code, 0, output.split('\n').filter((line) => !line.startsWith('ok ')).join('\n').slice(0, 5000))
  })
}
