'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const path = require('node:path')
const { promisify } = require('node:util')

const load = import('../../benchmark/lib/schedule.mjs')

const root = path.join(__dirname, '../..')

const contestant = (name, features) => ({ name, module: { title: name, features } })

test('every round begins with another contestant, and each has one turn in it', async () => {
  const { turnOf } = await load
  const list = ['a', 'b', 'c']
  const rounds = [0, 1, 2, 3].map((round) => [0, 1, 2].map((turn) => turnOf(list, round, turn)).join(''))
  assert.deepEqual(rounds, ['abc', 'bca', 'cab', 'abc'])
})

test('a contestant is run on each of the wires that are asked for and that it speaks', async () => {
  const { entrants } = await load
  const all = [contestant('ours', { wires: ['legacy', 'next'] }), contestant('net', {})]
  const idsOf = (wires) => entrants(all, wires).map(({ id, options }) => [id, options?.wire])
  assert.deepEqual(idsOf(undefined), [['ours', undefined], ['net', undefined]])
  assert.deepEqual(idsOf(['next']), [['ours', 'next'], ['net', undefined]])
  assert.deepEqual(idsOf(['legacy', 'next']), [['ours/legacy', 'legacy'], ['ours/next', 'next'], ['net', undefined]])
  assert.deepEqual(idsOf(['none']), [['net', undefined]])
})

test('a contestant that cannot take part in a workload does not', async () => {
  const { entrants, schedule, countOf } = await load
  const module = { defaults: { seconds: 1 }, accepts: ({ legacyWire }) => legacyWire, isSteady: true }
  const plan = { times: { seconds: 3 }, overrides: {}, runs: 5, steadyRuns: 2 }
  const all = entrants([contestant('ours', { legacyWire: true }), contestant('net', {})])
  const [job] = schedule({ workloads: [{ name: 'strict', module }], entrants: all, plan })
  assert.deepEqual(job.eligible.map(({ id }) => id), ['ours'])
  assert.deepEqual([job.params, job.runs, countOf(job)], [{ seconds: 3 }, 2, 2])
})

test('the harness measures, checks and prints a table', { timeout: 120_000 }, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    'benchmark/run.mjs', '-w', 'small,pingpong,open', '-c', 'ours,original',
    '-r', '1', '--seconds', '0.1', '--warm-up', '0.1'
  ], { cwd: root })
  const rows = stdout.split('\n').filter((line) => /^\| (tcp-stream-muxer|original)/.test(line))
  assert.equal(rows.length, 6, stdout)
  for (const row of rows) assert.match(row, /\| \*\*[\d.]+( [kMG])?\*\* \|.*\| 1 \|$/)
})
