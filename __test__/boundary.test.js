'use strict'

// The table of the boundary in itself. That native code has the same numbers, __test__/binding shows.

const test = require('node:test')
const assert = require('node:assert/strict')
const boundary = require('../lib/boundary.js')
const table = require('../lib/boundary.json')

const GROUPS = ['commands', 'records', 'summary', 'carried', 'wires', 'peers']

test('every row has a name of its own and one sentence', () => {
  for (const rows of [...GROUPS.map((group) => table[group]), [...table.sizes, ...table.words]]) {
    assert.equal(new Set(rows.map(({ name }) => name)).size, rows.length)
    for (const { name, doc } of rows) {
      assert.match(name, /^[A-Z]+(_[A-Z]+)*$/)
      assert.match(doc, /^[^|]+[^.|]\.$/, name)
    }
  }
})

test('commands and records count from 1 and fit into the first word', () => {
  for (const rows of [table.commands, table.records]) {
    assert.deepEqual(rows.map(({ number }) => number), rows.map((_, index) => index + 1))
    assert.ok(rows.length < 2 ** (32 - boundary.NUMBER_BITS))
  }
})

test('records of servers stand behind all others', () => {
  const first = boundary.kind.SERVER_CLOSED
  for (const { name, number, of } of table.records) assert.equal(of === 'server', number >= first, name)
})

test('a command has a number or a payload, and keeps its order if it acknowledges', () => {
  for (const { name, argument, payload, overtakes, acknowledges } of table.commands) {
    assert.ok(argument === undefined || payload === undefined, name)
    assert.ok(!(overtakes && acknowledges), name)
  }
})

test('names stand for numbers, places and bits', () => {
  const { op, kind, summary, carried, wires, peers, SUMMARY_WORDS, NUMBER_MASK, WHOLE } = boundary
  assert.deepEqual([op.DATA, kind.DATA, summary.USED, peers.UNDECIDED, NUMBER_MASK, WHOLE], [2, 1, 0, 0, 0xffffff, 0xffffffff])
  assert.deepEqual(Object.values(carried), [1, 2, 4, 8, 16])
  assert.deepEqual(Object.values(wires), [1, 2, 4, 8])
  assert.equal(SUMMARY_WORDS, Object.keys(summary).length)
})
