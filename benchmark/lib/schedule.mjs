// Runs workloads over contestants, interleaved run by run, and makes the record of it: plain data with all that a
// report needs.

import { parameters } from './arguments.mjs'
import { goalsOf, judge } from './goals.mjs'
import { runPair } from './pair.mjs'

// The features of a contestant that does not name them.
const FEATURES = { duplex: false, acks: true, backpressure: true, maxStreams: Infinity, legacyWire: false }

/** A contestant that speaks several wires becomes one entrant for each that is asked for. */
export function entrants (contestants, wires) {
  return contestants.flatMap(({ name, module }) => {
    const entrant = { id: name, name, title: module.title, module, features: { ...FEATURES, ...module.features } }
    const spoken = entrant.features.wires
    if (wires === undefined || spoken === undefined) return [entrant]
    const own = wires.filter((wire) => spoken.includes(wire)).map((wire) => ({
      ...entrant,
      id: wires.length > 1 ? `${name}/${wire}` : name,
      title: `${module.title}, ${wire} wire`,
      features: { ...entrant.features, wire },
      options: { wire }
    }))
    // The last wire that was named is the base of the others.
    const base = own.at(-1)
    return own.map((one) => one === base ? one : { ...one, base: base.id })
  })
}

/** A workload whose `variants` are values of one parameter runs once with each of them; the first is their base. */
function variantsOf ({ variants }, entrant, own = {}) {
  if (variants === undefined) return [entrant]
  const { key, values, title } = variants
  const ids = (key in own ? [own[key]] : values).map((value) => [value, `${entrant.id} ${key}=${value}`])
  return ids.map(([value, id], index) => ({
    ...entrant,
    id,
    title: `${entrant.title}, ${title(value)}`,
    params: { [key]: value },
    base: index === 0 ? undefined : ids[0][1]
  }))
}

/**
 * Returns the entrant of the `turn`th run of a round. Each round begins with another one, so that a drift does not
 * always favour the same one.
 */
export function turnOf (list, round, turn) {
  return list[(round + turn) % list.length]
}

/** The runs in their order, before anything is started. */
export function schedule ({ workloads, entrants, plan }) {
  return workloads.map(({ name, module }) => {
    const own = plan.overrides[name]
    const eligible = entrants.filter(({ features }) => module.accepts?.(features) ?? true)
      .flatMap((entrant) => variantsOf(module, entrant, own))
    return {
      name,
      module,
      params: parameters(module.defaults, plan.times, own),
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

/** Runs one workload; `progress` is told of each run. Resolves with the record, or with undefined if it was stopped. */
export async function runJob ({ name, module, params, runs, eligible }, { plan, signal, progress }) {
  const outcomes = new Map(eligible.map(({ id }) => [id, []]))
  for (let round = 0; round < runs; round++) {
    for (let turn = 0; turn < eligible.length; turn++) {
      const { id, name: contestant, features, options, params: own } = turnOf(eligible, round, turn)
      progress.begin({ workload: name, run: round + 1, runs, contestant: id })
      const client = { contestant, options: { ...module.optionsFor?.(features), ...options } }
      const all = { ...params, ...own }
      const raw = await runPair({
        workload: name,
        server: module.receiver ?? client,
        client,
        params: all,
        link: module.link?.(all),
        host: plan.host,
        timeout: plan.timeout,
        cpus: plan.cpus,
        flags: module.flags,
        signal
      })
      if (signal.aborted) return undefined
      const outcome = outcomeOf(module, raw, all)
      outcomes.get(id).push(outcome)
      progress.done(outcome, module.metrics[0])
    }
  }
  const record = {
    name,
    title: module.title,
    text: module.describe(params),
    params,
    runs,
    metrics: module.metrics,
    cpu: module.cpu,
    mayFail: module.mayFail ?? false,
    // The rows have the variants, which the list of contestants does not have.
    rows: eligible.map(({ id, title, features, base }) => ({ id, title, lossy: features.lossy, base })),
    outcomes: Object.fromEntries(outcomes)
  }
  return { ...record, goals: judge(record, goalsOf(module, eligible)) }
}
