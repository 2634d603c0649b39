'use strict'

// What holds for connections over TCP holds over carriers, too: whole files of tests, and the attacks among them.

const test = require('node:test')
const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const { once } = require('node:events')
const path = require('node:path')

const FILES = ['connection', 'connection-qmux', 'stream-qmux', 'close-reason', 'marks', 'pings', 'bad-input/frames',
  'bad-input/qmux-frames', 'whole-messages', 'compat/files', 'wire/offer']

for (const name of FILES) {
  test(`${name} over carriers`, { timeout: 180_000 }, async () => {
    // The runner tells its children by the environment how to report.
    const { NODE_TEST_CONTEXT, NODE_OPTIONS, ...env } = process.env
    const child = spawn(process.execPath, ['--test', '--test-reporter=tap', path.join(__dirname, '..', `${name}.test.js`)], {
      env: { ...env, MUX_TEST_CARRIER: '1' }, stdio: ['ignore', 'pipe', 'pipe']
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { output += chunk })
    const [code] = await once(child, 'close')
    assert.equal(code, 0, output.split('\n').filter((line) => !line.startsWith('ok ')).join('\n').slice(0, 5000))
  })
}
