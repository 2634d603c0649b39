// The Markdown table of one workload, from its record alone.

import { digits, format, summary } from './statistics.mjs'
import { BASES } from './sets.mjs'

const STYLES = {
  ratio: (value) => value.toFixed(3),
  whole: (value) => Math.round(value).toLocaleString('en')
}

/** The numbers of one contestant's runs for one metric: { median, min, max }, or null if no run succeeded. */
export function over (outcomes, key) {
  return summary((outcomes ?? []).flatMap(({ metrics }) => Number.isFinite(metrics?.[key]) ? [metrics[key]] : []))
}

/** The reasons for which runs failed, and how often: [[reason, times]]. */
export function failures (outcomes) {
  const reasons = new Map()
  // Runs that fail for one reason differ in the numbers of their messages.
  const kind = (error) => error.replace(/\d+/g, '#')
  for (const { error } of outcomes) {
    if (error === undefined) continue
    const known = reasons.get(kind(error))
    if (known) known.times++
    else reasons.set(kind(error), { error, times: 1 })
  }
  return [...reasons.values()].map(({ error, times }) => [error, times])
}

export function show (value, { style } = {}) {
  return (STYLES[style] ?? format)(value)
}

function cell (stats, metric) {
  if (stats === null) return '–'
  const [median, min, max] = [stats.median, stats.min, stats.max].map((value) => show(value, metric))
  return min === max ? `**${median}**` : `**${median}** (${min}–${max})`
}

function cpuCell (outcomes, side) {
  const own = over(outcomes, `cpu${side}`)
  if (own === null) return '–'
  const thread = over(outcomes, `thread${side}`)
  return thread === null ? digits(own.median) : `${digits(own.median)} (${digits(thread.median)})`
}

function ratioCell (stats, base) {
  return stats && base ? `${digits(stats.median / base.median)}×` : '–'
}

function row (cells) {
  return `| ${cells.join(' | ')} |`
}

/** A cell of a table may hold neither a line's end nor a bar. */
function text (value) {
  return value.replace(/\s+/g, ' ').replaceAll('|', '\\|')
}

/** The ratio of each to its own base: of variants to the first of them, of wires to the last. */
function ownRatio (outcomes, base, stats, { key }) {
  return base === undefined ? '–' : ratioCell(stats, over(outcomes[base], key))
}

function table ({ metrics, cpu, outcomes }, contestants) {
  const [primary, ...others] = metrics
  const hasBases = contestants.some(({ base }) => base !== undefined)
  const bases = primary.noRatio ? [] : BASES.filter((id) => id in outcomes)
  const baseStats = bases.map((id) => over(outcomes[id], primary.key))
  const head = (metric) => metric.isLess ? `${metric.title} (less is better)` : metric.title
  const columns = [
    head(primary), ...(hasBases ? ['to its base'] : []), ...bases.map((id) => `to ${id}`), ...others.map(head),
    ...(cpu ? ['CPU sender', 'CPU receiver'] : []), 'runs'
  ]
  const lines = [row(['contestant', ...columns]), row(['---', ...columns.map(() => '---:')])]
  for (const { id, title, base } of contestants) {
    const own = outcomes[id]
    if (own === undefined) continue
    const stats = over(own, primary.key)
    const survived = own.filter(({ error }) => error === undefined).length
    lines.push(row([
      text(title),
      survived === 0 ? '**failed**' : cell(stats, primary),
      ...(hasBases ? [ownRatio(outcomes, base, stats, primary)] : []),
      ...baseStats.map((base) => ratioCell(stats, base)),
      ...others.map((metric) => cell(over(own, metric.key), metric)),
      ...(cpu ? [cpuCell(own, 'Sender'), cpuCell(own, 'Receiver')] : []),
      survived === own.length ? `${survived}` : `${survived} of ${own.length}`
    ]))
  }
  return lines
}

/** One line for each reason for which a contestant failed. */
export function failureLines (outcomes, contestants) {
  return contestants.flatMap(({ id, title, lossy }) => failures(outcomes[id] ?? []).map(([reason, times]) => {
    const known = lossy === undefined ? '' : ` Known of it: ${lossy}.`
    return `${title}: ${times} of ${outcomes[id].length} failed: ${text(reason)}.${known}`
  }))
}

/** The lines of one workload without its heading. */
export function body (workload, contestants) {
  const { cpu, runs, outcomes, goals = [] } = workload
  const rows = workload.rows ?? contestants
  const cpuText = cpu
    ? ` CPU: ${cpu.title}, of the process and in parentheses of its JavaScript thread.`
    : ''
  const failed = failureLines(outcomes, rows)
  return [
    `${workload.text} ${runs === 1 ? 'One run.' : `${runs} runs, interleaved: median (lowest–highest).`}${cpuText}`,
    '',
    ...table(workload, rows),
    ...(goals.length > 0 ? ['', ...goals.map(({ text, isMet }) => `- ${isMet ? 'met' : '**missed**'}: ${text}`)] : []),
    ...(failed.length > 0 ? ['', ...failed.map((line) => `- ${line}`)] : [])
  ]
}

export function section (workload, contestants) {
  return [`### ${workload.name}: ${workload.title}`, '', ...body(workload, contestants)]
}
