// The command line, parsed before anything is loaded. Pure, so that it can be tested.

import { parseArgs } from 'node:util'
import { SETS } from './sets.mjs'

const OPTIONS = {
  short: { type: 'boolean', default: false },
  full: { type: 'boolean', default: false },
  tls: { type: 'boolean', default: false },
  workload: { type: 'string', short: 'w' },
  contestants: { type: 'string', short: 'c' },
  runs: { type: 'string', short: 'r' },
  seconds: { type: 'string' },
  'warm-up': { type: 'string' },
  wire: { type: 'string' },
  // Many times what a run takes: the limit ends a hang, and judges nothing.
  timeout: { type: 'string', default: '120' },
  host: { type: 'string', default: '127.0.0.1' },
  cpus: { type: 'string' },
  set: { type: 'string', multiple: true, default: [] },
  json: { type: 'string' },
  report: { type: 'string' },
  from: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false }
}

const DEFAULT_RUNS = 5

export function usage ({ workloads, contestants }) {
  return `node benchmark/run.mjs [options]

Sets, which write docs/BENCHMARKS.md and docs/benchmarks/*.svg:
      --short             the usual contestants and workloads, ${SETS.short.runs} short runs each; the default
      --full              all contestants and workloads, ${SETS.full.runs} runs each
      --tls               what encrypts, ${SETS.tls.runs} short runs each; writes a section of the document only

Or what you name, which prints tables only:
  -w, --workload a,b      of: ${workloads.join(', ')}
  -c, --contestants a,b   of: ${contestants.join(', ')}

  -r, --runs n            runs of each contestant, interleaved (default: ${DEFAULT_RUNS})
      --seconds s         measured time of a run, where a workload has one
      --warm-up s         time before that
      --wire a,b          the wire to speak, for contestants that have several; each becomes a contestant of its own
      --cpus list         runs both processes on these CPUs only, e.g. 0 or 0,1 (Linux, taskset)
      --set w.key=value   changes a parameter of workload w, e.g. small.size=100; may be repeated
      --timeout s         ends a run that hangs (default: ${OPTIONS.timeout.default})
      --host address      loopback address to use (default: ${OPTIONS.host.default})
      --json file         writes every single run there
      --report folder     writes BENCHMARKS.md and benchmarks/*.svg there (default for the sets: docs)
      --from file         measures nothing: writes the report from what --json wrote
  -h, --help

Progress goes to stderr, the tables to stdout.`
}

function whole (name, text) {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new TypeError(`--${name} wants a whole number above 0, not ${text}`)
  return value
}

function secondsOf (name, text) {
  const value = Number(text)
  if (text.trim() === '' || !(value >= 0 && value <= 3600)) throw new TypeError(`--${name} wants seconds, not ${text}`)
  return value
}

function list (text) {
  return [...new Set(text.split(',').map((part) => part.trim()).filter(Boolean))]
}

/** Returns { workload: { key: number } } for `--set workload.key=number`. */
export function overrides (sets) {
  const byWorkload = {}
  for (const set of sets) {
    const match = /^([\w-]+)\.(\w+)=(\d+(?:\.\d+)?)$/.exec(set)
    if (!match) throw new TypeError(`--set wants workload.key=number, not ${set}`)
    const [, workload, key, value] = match
    ;(byWorkload[workload] ??= {})[key] = Number(value)
  }
  return byWorkload
}

/**
 * Returns what is to be done. `all` has the names of all workloads and contestants. Arguments that plan() does not
 * understand are a TypeError.
 */
export function plan (argv, all) {
  const { values } = parseArgs({ args: argv, options: OPTIONS })
  const sets = Object.keys(SETS).filter((name) => values[name])
  if (sets.length > 1) throw new TypeError(`--${sets.join(' and --')} cannot both be meant`)
  const isNamed = values.workload !== undefined || values.contestants !== undefined
  const set = sets[0] ?? (isNamed ? undefined : 'short')
  const { workloads, contestants } = SETS.short
  const chosen = set === undefined ? { workloads, contestants, runs: DEFAULT_RUNS } : SETS[set]
  const names = {
    workloads: pick('workload', values.workload, chosen.workloads, all.workloads),
    contestants: pick('contestants', values.contestants, chosen.contestants, all.contestants)
  }
  const runs = values.runs === undefined ? chosen.runs : whole('runs', values.runs)
  const times = { ...chosen.times }
  if (values.seconds !== undefined) times.seconds = secondsOf('seconds', values.seconds)
  if (values['warm-up'] !== undefined) times.warmUp = secondsOf('warm-up', values['warm-up'])
  return {
    set,
    ...names,
    runs,
    steadyRuns: values.runs === undefined ? chosen.steadyRuns ?? runs : runs,
    times,
    overrides: { ...chosen.overrides, ...overrides(values.set) },
    section: chosen.section,
    wires: values.wire === undefined ? undefined : list(values.wire),
    timeout: whole('timeout', values.timeout) * 1000,
    host: values.host,
    cpus: values.cpus,
    json: values.json,
    report: values.report,
    writesDocs: set !== undefined && values.report === undefined,
    from: values.from,
    help: values.help
  }
}

function pick (option, text, fallback, known) {
  const names = text === undefined ? fallback : list(text)
  if (names.length === 0) throw new TypeError(`--${option} names nothing`)
  const unknown = names.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new TypeError(`--${option}: there is no ${unknown}; there are ${known.join(', ')}`)
  return names
}

/** The parameters of a run: the defaults of its workload, overridden by `times`, and then by --set. */
export function parameters (defaults, times, own = {}) {
  const params = { ...defaults }
  for (const key of ['seconds', 'warmUp']) if (key in times && key in defaults) params[key] = times[key]
  for (const [key, value] of Object.entries(own)) {
    if (!(key in defaults)) {
      throw new TypeError(`there is no ${key} to set; there are ${Object.keys(defaults).join(', ')}`)
    }
    params[key] = value
  }
  return params
}
