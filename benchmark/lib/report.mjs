// The Markdown table of one workload.

import { format, summary } from './statistics.mjs'

/** results: Map of contestant → array of { metrics } or { error }. Returns the lines of the section. */
export function section ({ name, workload, params, contestants, results, base, runs }) {
  const lines = [`### ${name}: ${workload.title}`, '']
  lines.push(`${workload.describe(params)} ${runs} ${runs === 1 ? 'run' : 'runs'}, interleaved; median (min–max).`, '')

  const columns = workload.metrics.map(({ title }) => title)
  const [primary] = workload.metrics
  lines.push(row(['contestant', columns[0], `ratio to ${base}`, ...columns.slice(1), 'CPU s server', 'CPU s client', 'survived']))
  lines.push(row(['---', ...Array(columns.length + 4).fill('---:')]))

  const baseMedian = over(results.get(base), primary.key)?.median
  for (const { name: contestant, title } of contestants) {
    const outcomes = results.get(contestant)
    const own = over(outcomes, primary.key)
    const ratio = own && baseMedian && !primary.noRatio ? `${(own.median / baseMedian).toFixed(2)}×` : '–'
    const survived = outcomes.filter(({ error }) => !error).length
    lines.push(row([
      title,
      cell(own, primary),
      ratio,
      ...workload.metrics.slice(1).map((metric) => cell(over(outcomes, metric.key), metric)),
      cell(over(outcomes, 'cpuServer'), {}),
      cell(over(outcomes, 'cpuClient'), {}),
      `${survived} of ${outcomes.length}`
    ]))
  }

  for (const { name: contestant, title } of contestants) {
    for (const { error, partial } of results.get(contestant)) {
      if (error) lines.push('', `${title}: ${error}${partial && Object.keys(partial).length ? ` ${JSON.stringify(partial)}` : ''}`)
    }
  }
  return lines
}

export function over (outcomes, key) {
  return summary((outcomes ?? []).flatMap(({ metrics }) => metrics && key in metrics ? [metrics[key]] : []))
}

function cell (stats, { exact = false }) {
  if (stats === null) return '–'
  const show = exact ? (value) => value.toFixed(3) : format
  return stats.min === stats.max ? show(stats.median) : `**${show(stats.median)}** (${show(stats.min)}–${show(stats.max)})`
}

function row (cells) {
  return `| ${cells.join(' | ')} |`
}
