// The goals of a workload, and whether a run met them: numbers in, sentences out. A workload says { key, atLeast |
// atMost, to?, of? } in `goals`. `to` is 'base' (the same contestant's first variant, or its other wire) or the name of
// a contestant, and then the ratio of the medians is judged; otherwise the median itself. Goals are for this package
// alone, and `of` can narrow them to some of its rows. Only medians decide.

import { digits, summary } from './statistics.mjs'

// The least ratio between two wires of one contestant, in any workload without goals of its own, unless the ranges
// overlap.
const WIRES_KEEP = 0.95

/** The goals, each with the rows that it is for. */
export function goalsOf ({ goals = [], metrics, variants }, eligible) {
  const ours = eligible.filter(({ features }) => features.wires !== undefined)
  const own = goals.flatMap((goal) => ours.filter(({ id, features, base, params }) => {
    if (goal.to === 'base' && base === undefined) return false
    return goal.of?.({ id, features, params }) ?? true
  }).map(({ id, base }) => ({
    key: goal.key,
    id,
    title: metrics.find(({ key }) => key === goal.key).title,
    to: goal.to === 'base' ? base : goal.to,
    atLeast: goal.atLeast,
    atMost: goal.atMost
  })))
  if (variants !== undefined || goals.length > 0) return own
  const [{ key, title, isLess }] = metrics
  const wires = ours.filter(({ base }) => base !== undefined).map(({ id, base }) => ({
    key, id, title, to: base, orOverlaps: true, ...(isLess ? { atMost: 1 / WIRES_KEEP } : { atLeast: WIRES_KEEP })
  }))
  return [...own, ...wires]
}

function statsOf (outcomes, id, key) {
  return summary((outcomes[id] ?? []).flatMap(({ metrics }) => Number.isFinite(metrics?.[key]) ? [metrics[key]] : []))
}

function overlap (a, b) {
  return a.min <= b.max && b.min <= a.max
}

/**
 * Returns [{ text, isMet }]. A goal without a number, because its run failed or its base was not measured, is left out.
 */
export function judge ({ outcomes }, goals) {
  return goals.flatMap(({ key, id, title, to, atLeast, atMost, orOverlaps }) => {
    const own = statsOf(outcomes, id, key)
    const base = to === undefined ? null : statsOf(outcomes, to, key)
    if (own === null || (to !== undefined && base === null)) return []
    const value = base === null ? own.median : own.median / base.median
    const isInside = atLeast === undefined ? value <= atMost : value >= atLeast
    const overlaps = orOverlaps === true && overlap(own, base)
    const wanted = atLeast === undefined ? `at most ${digits(atMost)}` : `at least ${digits(atLeast)}`
    const found = base === null ? digits(value) : `${digits(value)}× that of ${to}`
    return [{
      text: `${title} of ${id} is ${found}, wanted ${wanted}${overlaps && !isInside ? ', but the ranges overlap' : ''}`,
      isMet: isInside || overlaps
    }]
  })
}
