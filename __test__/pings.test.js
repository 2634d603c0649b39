'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { Pings } = require('../lib/pings.js')

function recorder () {
  const sent = []
  return { pings: new Pings(), sent, send: (number) => sent.push(number) }
}

test('each answer goes to its ping, once, and strange ones to nobody', async () => {
  const { pings, sent, send } = recorder()
  const all = [pings.add(send), pings.add(send)]
  assert.deepEqual(sent, [0, 1])
  for (const [number, ms] of [[1, 20], [1, 30], [7, 40], [0, 10]]) pings.answer(number, ms)
  assert.deepEqual(await Promise.all(all), [10, 20])
})

test('those that wait go in their order, or are refused', async () => {
  const { pings, sent, send } = recorder()
  const waiting = pings.add(undefined)
  assert.deepEqual(sent, [])
  pings.go(send)
  pings.go(send)
  assert.deepEqual(sent, [0])
  const refused = pings.add(undefined)
  pings.refuse(new Error('no'))
  await assert.rejects(refused, /no/)
  pings.answer(0, 5)
  assert.equal(await waiting, 5)
})

test('at the end all fail, sent or waiting', async () => {
  const { pings, send } = recorder()
  const all = [pings.add(send), pings.add(undefined)]
  pings.fail(new Error('over'))
  for (const each of all) await assert.rejects(each, /over/)
})

test('numbers stay within 32 bits', () => {
  const { pings, sent, send } = recorder()
  pings._next = 2 ** 32 - 1
  pings.add(send)
  pings.add(send)
  assert.deepEqual(sent, [2 ** 32 - 1, 0])
})
