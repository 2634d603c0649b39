'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')

const load = import('../../benchmark/lib/arguments.mjs')
const loadSets = import('../../benchmark/lib/sets.mjs')

function namesIn (folder) {
  return fs.readdirSync(path.join(__dirname, '../../benchmark', folder))
    .filter((file) => file.endsWith('.mjs')).map((file) => file.slice(0, -4))
}

const ALL = { workloads: namesIn('workloads'), contestants: namesIn('contestants') }

async function plan (...argv) {
  return (await load).plan(argv, ALL)
}

test('without options it is the short set, and the report goes to docs', async () => {
  const { SETS } = await loadSets
  const { set, workloads, contestants, runs, steadyRuns, times, writesDocs } = await plan()
  assert.equal(set, 'short')
  assert.deepEqual(workloads, SETS.short.workloads)
  assert.deepEqual(contestants, SETS.short.contestants)
  assert.deepEqual([runs, steadyRuns], [SETS.short.runs, SETS.short.steadyRuns])
  assert.deepEqual(times, SETS.short.times)
  assert.equal(writesDocs, true)
})

test('the sets have every contestant, and every workload but those that are asked for by name', async () => {
  const full = await plan('--full')
  const tls = await plan('--tls')
  assert.deepEqual([full.set, full.section, tls.set, tls.section], ['full', undefined, 'tls', 'TLS'])
  const contestants = [...new Set([...full.contestants, ...tls.contestants])]
  const workloads = [...new Set([...full.workloads, ...tls.workloads])]
  assert.deepEqual([...contestants].sort(), [...ALL.contestants].sort())
  // What has goals of its own is asked for by `npm run bench:qmux`.
  const named = ['churn', 'first-flight', 'leak', 'link-bulk', 'live-streams', 'paused-bulk', 'paused-pingpong',
    'paused-small', 'strict', 'wire-21']
  assert.deepEqual([...workloads, ...named].sort(), [...ALL.workloads].sort())
  assert.equal(full.steadyRuns, full.runs)
  assert.equal(tls.overrides['idle-connections'].count, 2000)
})

test('the sets, the plots and the ratios name nothing that is not there', async () => {
  const { SETS, GROUPS, OVERVIEW, BASES } = await loadSets
  const { workloads } = SETS.full
  assert.deepEqual(GROUPS.flatMap((group) => group.workloads).sort(), [...workloads].sort())
  for (const { workload, key } of OVERVIEW) {
    assert.ok(SETS.short.workloads.includes(workload), workload)
    const { metrics } = await import(`../../benchmark/workloads/${workload}.mjs`)
    assert.ok(metrics.some((metric) => metric.key === key), `${workload} has no ${key}`)
  }
  for (const name of [...SETS.short.contestants, ...BASES]) assert.ok(ALL.contestants.includes(name), name)
})

test('naming a workload or a contestant measures that alone, five times, and writes no report', async () => {
  const named = await plan('--workload', 'small, open,small', '-c', 'ours')
  assert.deepEqual(named.workloads, ['small', 'open'])
  assert.deepEqual(named.contestants, ['ours'])
  const { set, runs, steadyRuns, times, writesDocs } = named
  assert.deepEqual([set, runs, steadyRuns, times, writesDocs], [undefined, 5, 5, {}, false])
  assert.equal((await plan('-w', 'small', '--report', 'folder')).report, 'folder')
  assert.equal((await plan('--full', '--report', 'folder')).writesDocs, false)
})

test('options change what a set measures', async () => {
  const { runs, steadyRuns, times, timeout, wires, overrides } = await plan(
    '--short', '--runs', '7', '--seconds', '0.25', '--warm-up', '0', '--timeout', '9', '--wire', 'legacy,other',
    '--set', 'idle-streams.count=100', '--set', 'small.size=100')
  assert.deepEqual([runs, steadyRuns, timeout], [7, 7, 9000])
  assert.deepEqual(times, { seconds: 0.25, warmUp: 0 })
  assert.deepEqual(wires, ['legacy', 'other'])
  assert.deepEqual(overrides, { 'idle-streams': { count: 100 }, small: { size: 100 } })
})

test('what is not understood is refused with a sentence that says so', async () => {
  const wrong = [
    [['--runs', '0'], /--runs wants a whole number above 0, not 0/],
    [['--runs', '1.5'], /--runs wants/],
    [['--seconds', 'soon'], /--seconds wants seconds, not soon/],
    [['--warm-up', ' '], /--warm-up wants seconds/],
    [['--set', 'small.size'], /--set wants workload\.key=number, not small\.size/],
    [['--workload', 'smal'], /--workload: there is no smal; there are .*small/],
    [['--contestants', ','], /--contestants names nothing/],
    [['--short', '--full'], /cannot both/],
    [['--full', '--tls'], /--full and --tls cannot both/],
    [['--fast'], /--fast/]
  ]
  for (const [argv, message] of wrong) await assert.rejects(plan(...argv), { name: 'TypeError', message })
})

test('parameters are defaults, then the times of the set, then what --set says', async () => {
  const { parameters } = await load
  const times = { seconds: 2, warmUp: 1 }
  assert.deepEqual(parameters({ size: 64, seconds: 9, warmUp: 9 }, times), { size: 64, seconds: 2, warmUp: 1 })
  assert.deepEqual(parameters({ count: 10 }, times), { count: 10 })
  assert.deepEqual(parameters({ seconds: 9 }, times, { seconds: 3 }), { seconds: 3 })
  assert.throws(() => parameters({ count: 10 }, times, { size: 1 }), /there is no size to set; there are count/)
})

test('the usage names every workload and every contestant', async () => {
  const { usage } = await load
  const text = usage(ALL)
  for (const name of [...ALL.workloads, ...ALL.contestants]) assert.ok(text.includes(name), name)
})
