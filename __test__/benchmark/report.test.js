'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')

const load = import('../../benchmark/lib/report.mjs')

const METRICS = [
  { key: 'rate', title: 'messages/s' },
  { key: 'events', title: 'events', style: 'ratio' }
]

const CONTESTANTS = [
  { id: 'ours', title: 'ours' },
  { id: 'original', title: 'original' },
  { id: 'net', title: 'net' },
  { id: 'absent', title: 'absent' },
  { id: 'loser', title: 'a | loser', lossy: 'drops what it likes' }
]

const ran = (...rates) => rates.map((rate) => ({
  metrics: { rate, events: 1, cpuSender: 0.5, threadSender: 0.25, cpuReceiver: 0.4, threadReceiver: null }
}))

const WORKLOAD = {
  name: 'small',
  title: 'a title',
  text: 'What is done.',
  runs: 3,
  metrics: METRICS,
  cpu: { title: 's per million messages' },
  outcomes: {
    ours: ran(3_000_000, 5_000_000, 4_000_000),
    original: ran(1_000_000, 1_000_000, 1_000_000),
    net: [...ran(2_000_000), { error: 'server: 12 of 64 bytes arrived' }, { error: 'server: 13 of 64 bytes arrived' }],
    loser: [{ error: 'client: a\n| b' }, { error: 'client: a\n| b' }, { error: 'no result within 9 s' }]
  }
}

async function rows () {
  const { body } = await load
  const lines = body(WORKLOAD, CONTESTANTS)
  return {
    lines,
    cells: lines.filter((line) => line.startsWith('|')).map((line) => {
      return line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim())
    })
  }
}

test('a table has medians with their range, ratios to both baselines, CPU and the runs', async () => {
  const { cells } = await rows()
  assert.deepEqual(cells[0], [
    'contestant', 'messages/s', 'to original', 'to net', 'events', 'CPU sender', 'CPU receiver', 'runs'
  ])
  assert.deepEqual(cells[2], [
    'ours', '**4.00 M** (3.00 M–5.00 M)', '4.00×', '2.00×', '**1.000**', '0.500 (0.250)', '0.400', '3'
  ])
  assert.deepEqual(cells[3].slice(0, 4), ['original', '**1.00 M**', '1.00×', '0.500×'])
  assert.equal(new Set(cells.map((row) => row.length)).size, 1)
})

test('a contestant that took no part has no row', async () => {
  const { cells } = await rows()
  assert.deepEqual(cells.slice(2).map(([title]) => title), ['ours', 'original', 'net', 'a \\| loser'])
})

test('a contestant that failed shows as such, and why stands below the table', async () => {
  const { lines, cells } = await rows()
  assert.deepEqual(cells[4].slice(1, 4), ['**2.00 M**', '2.00×', '1.00×'])
  assert.equal(cells[4].at(-1), '1 of 3')
  assert.deepEqual(cells[5].slice(1), ['**failed**', '–', '–', '–', '–', '–', '0 of 3'])
  assert.deepEqual(lines.filter((line) => line.startsWith('- ')), [
    '- net: 2 of 3 failed: server: 12 of 64 bytes arrived.',
    '- a | loser: 2 of 3 failed: client: a \\| b. Known of it: drops what it likes.',
    '- a | loser: 1 of 3 failed: no result within 9 s. Known of it: drops what it likes.'
  ])
})

test('without baselines, CPU and failures there is nothing of them', async () => {
  const { section } = await load
  const lines = section({ ...WORKLOAD, cpu: undefined, runs: 1, outcomes: { ours: ran(1500) } }, CONTESTANTS)
  assert.deepEqual(lines, [
    '### small: a title',
    '',
    'What is done. One run.',
    '',
    '| contestant | messages/s | events | runs |',
    '| --- | ---: | ---: | ---: |',
    '| ours | **1.50 k** | **1.000** | 1 |'
  ])
})

test('what is less when it is better says so', async () => {
  const { body } = await load
  const metrics = [{ key: 'rate', title: 'p50 µs', isLess: true }]
  const lines = body({ ...WORKLOAD, metrics }, CONTESTANTS)
  assert.match(lines.find((line) => line.startsWith('| contestant')), /\| p50 µs \(less is better\) \|/)
})
