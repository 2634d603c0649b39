'use strict'

// Node's permission model, as if this process had been started with it.

const test = require('node:test')
const assert = require('node:assert/strict')
const { MuxServer, MuxClient, freePort, temporaryFolder } = require('./support/mux.js')
const { cleanup } = require('./support/cleanup.js')
const { nextEvent } = require('./support/events.js')

// `has` is asked for 'net'; without it there is no permission model.
function model (t, flags, has) {
  for (const [name, value] of [['allowedNodeEnvironmentFlags', new Set(flags)], ['permission', has && { has }]]) {
    const before = Object.getOwnPropertyDescriptor(process, name)
    Object.defineProperty(process, name, { configurable: true, value })
    cleanup(t, () => {
      if (before) Object.defineProperty(process, name, before)
      else delete process[name]
    })
  }
}

test('without the permission, listening and connecting fail as those of net do', async (t) => {
  const folder = temporaryFolder(t)
  const asked = []
  model(t, ['--allow-net'], (scope) => { asked.push(scope); return false })
  for (const [options, resource] of [
    [{ port: 5, host: '127.0.0.1' }, '127.0.0.1:5'], [{ path: `${folder}/a.sock` }, `${folder}/a.sock`],
    [{ port: 5, host: 'name.invalid' }, 'name.invalid:5']
  ]) {
    const server = new MuxServer(options)
    const client = new MuxClient(options)
    const closed = nextEvent(client, 'close')
    const errors = await Promise.all([nextEvent(server, 'error'), nextEvent(client, 'error')])
    for (const [error] of errors) {
      assert.deepEqual([error.code, error.permission, error.resource], ['ERR_ACCESS_DENIED', 'Net', resource])
    }
    assert.equal(server.listening, false)
    await closed
  }
  assert.deepEqual([...new Set(asked)], ['net'])
})

test('where there is no such permission, or it was given, nothing changes', async (t) => {
  const port = await freePort()
  for (const [flags, has] of [[[], () => false], [['--allow-net'], () => true], [['--allow-net'], undefined]]) {
    model(t, flags, has)
    const server = new MuxServer(port, '127.0.0.1')
    await nextEvent(server, 'listening')
    const client = new MuxClient(port, '127.0.0.1')
    await nextEvent(client, 'connect')
    client.destroy()
    await new Promise((resolve) => server.closeAllConnections().close(resolve))
  }
})
