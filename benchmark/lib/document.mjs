// Makes docs/BENCHMARKS.md and its plots, from the record of a run alone.

import { plot, panelOf } from './plots.mjs'
import { body } from './report.mjs'
import { DOCUMENT, contestantTable, machineTable, sectionsOf } from './section.mjs'
import { GROUPS, OVERVIEW } from './sets.mjs'

// The largest width at which a README is shown; a panel has half of it.
const WIDTH = 700
const FOLDER = 'benchmarks'

const labelled = ({ contestants }) => contestants.map((entry) => ({
  ...entry, label: entry.id.replace(/^ours\b/, 'tcp-stream-muxer')
}))

function introduction (record, contestants) {
  return [
    '# Benchmarks',
    '',
    `Measured on ${record.date.slice(0, 10)} by \`${record.command}\`, which wrote this file and its pictures.`,
    '',
    `![Message throughput, bulk throughput, latency and opens per second](${FOLDER}/overview.svg)`,
    '',
    'Every run is a fresh server process and a fresh client process on loopback. Contestants take turns, run by run,',
    'and each round begins with another one. A bar is the median, the line on it reaches from the lowest run to the',
    'highest; blue is this package, orange are the two that the tables compare everybody with. Absolute numbers',
    'belong to the machine; what carries over is the ratios. *To original*: to a stand-in for the design of version',
    '0.1.0, one socket write for each frame. *To net*: to plain sockets, one for each stream.',
    '',
    'In every run the bytes are compared with those that were sent, all of them in the warm-up and the edges of each',
    'piece later, and the end of the run counts them. A contestant that lost or changed any has failed. Those without',
    'backpressure are held back by the receiver, so that they are not measured at filling memory.',
    '',
    ...machineTable(record),
    '',
    ...contestantTable(contestants),
    ''
  ]
}

function panelsOf (workloads, contestants) {
  return workloads.flatMap((workload) => workload.metrics.flatMap((metric) => {
    return metric.plot ? panelOf(workload, metric, contestants) ?? [] : []
  }))
}

function overview (byName, contestants) {
  return OVERVIEW.flatMap(({ workload: name, key, title }) => {
    const workload = byName.get(name)
    if (workload === undefined) return []
    return panelOf(workload, workload.metrics.find((metric) => metric.key === key), contestants, title) ?? []
  })
}

/**
 * Calls write(name, text) for each file. read(name) returns the earlier text of one, whose sections of their own stay.
 * @returns the names
 */
export function writeReport (record, write, read = () => '') {
  const contestants = labelled(record)
  const byName = new Map(record.workloads.map((workload) => [workload.name, workload]))
  const files = []
  const put = (name, text) => {
    files.push(name)
    write(name, text)
  }
  const lines = introduction(record, contestants)
  for (const { name, title, workloads } of groupsOf(record)) {
    lines.push(`## ${title}`, '')
    const panels = panelsOf(workloads, contestants)
    if (panels.length > 0) {
      const file = `${FOLDER}/${name}.svg`
      put(file, plot(panels, { columns: Math.min(2, panels.length), width: WIDTH }))
      lines.push(`![${title}](${file})`, '')
    }
    for (const workload of workloads) {
      lines.push(`### ${sentence(workload.title)}`, '', ...body(workload, contestants), '')
    }
  }
  const panels = overview(byName, contestants)
  if (panels.length > 0) put(`${FOLDER}/overview.svg`, plot(panels, { columns: 2, width: WIDTH }))
  const sections = sectionsOf(read(DOCUMENT))
  put(DOCUMENT, `${lines.join('\n').trimEnd()}\n${sections === '' ? '' : `\n${sections}`}`)
  return files
}

function sentence (text) {
  return text[0].toUpperCase() + text.slice(1)
}

/** The groups that have been measured. Workloads of no group come last. */
function groupsOf ({ workloads }) {
  const grouped = new Set(GROUPS.flatMap((group) => group.workloads))
  const rest = workloads.filter(({ name }) => !grouped.has(name)).map(({ name }) => name)
  return [...GROUPS, { name: 'others', title: 'Others', workloads: rest }].map((group) => ({
    ...group,
    workloads: group.workloads.flatMap((name) => workloads.filter((workload) => workload.name === name))
  })).filter((group) => group.workloads.length > 0)
}
