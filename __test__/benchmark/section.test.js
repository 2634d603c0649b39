'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')

const load = import('../../benchmark/lib/section.mjs')

const RECORD = {
  date: '2026-01-02T03:04:05Z',
  command: 'npm run bench -- --tls',
  machine: { cpu: 'a', cores: 1, memory: 0, system: 'b', node: 'c', rustc: 'd', cpus: 'all', load: 0 },
  version: '1.0.0',
  contestants: [{ id: 'ours-tls', title: 'ours', packageName: null }],
  workloads: [{
    name: 'small',
    title: 'a title',
    text: 'What is done.',
    runs: 1,
    metrics: [{ key: 'rate', title: 'messages/s' }],
    outcomes: { 'ours-tls': [{ metrics: { rate: 1000 } }] }
  }]
}

async function written (before) {
  const { writeSection } = await load
  let text
  writeSection(RECORD, 'TLS', { read: () => before, write: (name, all) => { text = all } })
  return text
}

test('a section stands behind what is there, and takes the place of an earlier one', async () => {
  const { sectionsOf } = await load
  const once = await written('# Benchmarks\n\nAll else.\n')
  assert.match(once, /^# Benchmarks\n\nAll else\.\n\n## TLS\n\nMeasured on 2026-01-02 by `npm run bench -- --tls`/)
  assert.match(once, /\n### With TLS: a title\n\nWhat is done\. One run\.\n/)
  assert.equal(await written(once), once)
  assert.equal(sectionsOf(once), once.slice(once.indexOf('## TLS')))
  assert.equal(sectionsOf('# Benchmarks\n'), '')
})
