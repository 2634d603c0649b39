// A section of docs/BENCHMARKS.md that is measured by itself, and the tables that every report begins with.

import { body } from './report.mjs'
import { SETS } from './sets.mjs'

export const DOCUMENT = 'BENCHMARKS.md'

const gib = (bytes) => `${(bytes / 2 ** 30).toFixed(1)} GiB`

export function machineTable ({ machine, version }) {
  const rows = [
    ['CPU', `${machine.cores} × ${machine.cpu}${machine.cpus === 'all' ? '' : `; both processes on ${machine.cpus}`}`],
    ['memory', gib(machine.memory)],
    ['system', machine.system],
    ['load before', machine.load.toFixed(2)],
    ['Node', machine.node],
    ['Rust', machine.rustc],
    ['tcp-stream-muxer', version]
  ]
  return ['| | |', '| --- | --- |', ...rows.map(([name, value]) => `| ${name} | ${value} |`)]
}

/** `where` says where the name in the second column stands. */
export function contestantTable (contestants, where = 'in the plots') {
  const rows = contestants.map(({ title, label, packageName, version }) => {
    return [title, label, packageName ? `${packageName} ${version ?? ''}`.trim() : '']
  })
  const head = [['contestant', where, 'from npm'], ['---', '---', '---']]
  return [...head, ...rows].map((cells) => `| ${cells.join(' | ')} |`)
}

// A section of its own comes last, and has no plots.
const TITLES = Object.values(SETS).flatMap(({ section }) => section ?? [])

/** Where the sections of their own begin in a document. */
function startOfSections (text) {
  return Math.min(...TITLES.flatMap((title) => {
    const at = text.indexOf(`\n## ${title}\n`)
    return at < 0 ? text.length : at + 1
  }))
}

/** The sections of their own in a document, which a report of all else leaves as they are. */
export function sectionsOf (text) {
  return text.slice(startOfSections(text))
}

/**
 * Writes a section of its own into the document that read(name) returns, and leaves what else is in it.
 * @returns the names of the files
 */
export function writeSection (record, title, { read, write }) {
  // Without plots, the names are those of the command line.
  const contestants = record.contestants.map((entry) => ({ ...entry, label: entry.id }))
  const lines = [
    `## ${title}`,
    '',
    `Measured on ${record.date.slice(0, 10)} by \`${record.command}\`, in the way of the other tables. The`,
    'contestants that can choose speak TLS 1.3 with AES-256-GCM, and show a certificate of ECDSA on P-256.',
    '',
    ...machineTable(record),
    '',
    ...contestantTable(contestants, 'on the command line'),
    ''
  ]
  for (const workload of record.workloads) {
    lines.push(`### With TLS: ${workload.title}`, '', ...body(workload, contestants), '')
  }
  const before = read(DOCUMENT)
  write(DOCUMENT, `${before.slice(0, startOfSections(before)).trimEnd()}\n\n${lines.join('\n').trimEnd()}\n`)
  return [DOCUMENT]
}
