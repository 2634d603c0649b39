// Runs workloads over contestants, interleaved run by run, and makes the record of it: plain data that says all that a
// report needs.

import { parameters } from './arguments.mjs'
import { runPair } from './pair.mjs'

// What a contestant need not say of itself.
const FEATURES = { duplex: false, acks: true, backpressure: true, maxStreams: Infinity, legacyWire: false }

/** A contestant that speaks several wires becomes one entrant for each that is asked for. */
export function entrants (contestants, wires) {
  return contestants.flatMap(({ name, module }) => {
    const entrant = { id: name, name, title: module.title, module, features: { ...FEATURES, ...module.features } }
    const spoken = entrant.features.wires
    if (wires === undefined || spoken === undefined) return [entrant]
    return wires.filter((wire) => spoken.includes(wire)).map((wire) => ({
      ...entrant,
      id: wires.length > 1 ? `${name}/${wire}` : name,
      title: `${module.title}, ${wire} wire`,
      options: { wire }
    }))
  })
}

/** Which entrant is the `turn`th of a round: each begins with another, lest a drift is always the same one's luck. */
export function turnOf (list, round, turn) {
  return list[(round + turn) % list.length]
}

/** What is to be run, in order, with nothing started yet. */
export function schedule ({ workloads, entrants, plan }) {
  return workloads.map(({ name, module }) => {
    const eligible = entrants.filter(({ features }) => module.accepts?.(features) ?? true)
    return {
      name,
      module,
      params: parameters(module.defaults, plan.times, plan.overrides[name]),
      runs: module.isSteady ? plan.steadyRuns : plan.runs,
      eligible
    }
  })
}

export const countOf = (job) => job.runs * job.eligible.length

function outcomeOf (module, raw, params) {
  if (raw.error) return raw
  try {
    return { metrics: module.summarize({ ...raw, params }) }
  } catch (error) {
    return { error: error.message }
  }
}

/** Runs one workload; `progress` hears of each run. Resolves with its record, or with undefined when it was stopped. */
export async function runJob ({ name, module, params, runs, eligible }, { plan, signal, progress }) {
  const outcomes = new Map(eligible.map(({ id }) => [id, []]))
  for (let round = 0; round < runs; round++) {
    for (let turn = 0; turn < eligible.length; turn++) {
      const { id, name: contestant, options } = turnOf(eligible, round, turn)
      progress.begin({ workload: name, run: round + 1, runs, contestant: id })
      const client = { contestant, options }
      const raw = await runPair({
        workload: name,
        server: module.receiver ?? client,
        client,
        params,
        host: plan.host,
        timeout: plan.timeout,
        cpus: plan.cpus,
        flags: module.flags,
        signal
      })
      if (signal.aborted) return undefined
      const outcome = outcomeOf(module, raw, params)
      outcomes.get(id).push(outcome)
      progress.done(outcome, module.metrics[0])
    }
  }
  return {
    name,
    title: module.title,
    text: module.describe(params),
    params,
    runs,
    metrics: module.metrics,
    cpu: module.cpu,
    mayFail: module.mayFail ?? false,
    outcomes: Object.fromEntries(outcomes)
  }
}
