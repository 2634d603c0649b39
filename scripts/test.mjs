// npm test [-- GROUP… ARGUMENTS]: runs everything that CI runs, or the named groups of it.
//
// Arguments that name no group go to the test runners: `npm run test:js -- __test__/stream.test.js`, `npm run test:rust
// -- pacing`.

import fs from 'node:fs'
import path from 'node:path'
import interop from '../interop/build.js'
import { ensureAddon } from './addon.mjs'
import { checkTree } from './check-tree.mjs'
import { ensureModules } from './npm.mjs'
import { Failure, main, root, run, say, seconds } from './process.mjs'

const GROUPS = ['lint', 'rust', 'types', 'js', 'packaging']

// proto alone, proto with the driver, and all three layers. If each builds without the next one, the layering holds.
const TIERS = [
  ['proto', ['--no-default-features']],
  ['driver', ['--no-default-features', '--features', 'driver']],
  ['addon', []]
]

// The limit for one file of tests. The longest file moves millions of messages; a hung one must not use up the time of
// CI.
const FILE_TIMEOUT = 600_000

const cargo = (...args) => run('cargo', args, { heartbeat: `cargo ${args[0]}` })
const cargoDoc = () => run('cargo', ['doc', '--no-deps', '--document-private-items'], {
  env: { RUSTDOCFLAGS: '-D warnings' }, heartbeat: 'cargo doc'
})

function testFiles (folder) {
  return fs.readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = `${folder}/${entry.name}`
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : testFiles(name)
    return entry.name.endsWith('.test.js') ? [name] : []
  }).sort()
}

// The other end of the interoperability tests. It is built here because the tests would build it within their own time
// limit.
const interopPeer = () => run(interop.command, interop.args, { cwd: interop.folder, heartbeat: 'cargo build' })

// The interop crate is separate, and no other step checks it.
const interopLint = async () => {
  const manifest = ['--manifest-path', 'interop/Cargo.toml']
  const { code } = await cargo('fmt', '--check', ...manifest)
  if (code !== 0) return { code }
  return cargo('clippy', '--locked', ...manifest, '--target-dir', 'interop/target', '--', '-D', 'warnings')
}

const isPackaging = (name) => name.startsWith('__test__/packaging/')

// The files are named one by one: Node 20 takes no patterns, and each release treats a folder differently.
function nodeTest (files, args) {
  if (files.length === 0) throw new Failure('there is no test to run')
  const [major, minor] = process.versions.node.split('.').map(Number)
  const options = ['--test', '--test-reporter=spec']
  // Tests that measure time, memory or throughput must not compete with each other.
  if (major > 20 || minor >= 11) options.push('--test-concurrency=1', `--test-timeout=${FILE_TIMEOUT}`)
  return run(process.execPath, [...options, ...args, ...files], { heartbeat: 'node --test' })
}

function jsTests (args) {
  const files = args.filter((arg) => !arg.startsWith('-'))
  const options = args.filter((arg) => arg.startsWith('-'))
  return nodeTest(files.length > 0 ? files : testFiles('__test__').filter((name) => !isPackaging(name)), options)
}

function check (problems) {
  for (const problem of problems) say(problem)
  return { code: problems.length > 0 ? 1 : 0 }
}

// Returns the state of the working tree as git sees it; undefined outside of a clone.
async function gitStatus () {
  try {
    const { code, stdout } = await run('git', ['status', '--porcelain', '--untracked-files=all'], { capture: true })
    return code === 0 ? stdout : undefined
  } catch {
    return undefined
  }
}

async function cleanTree (before) {
  if (before === undefined) return { skipped: 'not a git clone' }
  const [old, now] = [before, await gitStatus()].map((status) => new Set(status.split('\n')))
  return check([...now].filter((line) => !old.has(line)).map((line) => `the run changed the tree: ${line}`))
}

function tiers (name, ...args) {
  const runnerArgs = args.includes('--') ? args.splice(args.indexOf('--')) : []
  return TIERS.map(([tier, features]) => ({
    name: `${name} (${tier})`,
    run: () => cargo(...args, ...features, ...runnerArgs)
  }))
}

function steps (groups, args, before) {
  const whole = groups.length === GROUPS.length
  const modules = { name: 'development packages', run: ensureModules, needed: true }
  const isNamed = args.some((arg) => !arg.startsWith('-'))
  const peer = !isNamed || args.some((arg) => arg.includes('interop'))
    ? [{ name: 'foreign QMux endpoint (interop/)', run: interopPeer }]
    : []
  const addon = { name: 'addon (release build)', run: () => ensureAddon({ verbose: true }), needed: true }
  const all = {
    lint: [
      { name: 'source limits, manifests', run: () => check(checkTree()) },
      { name: 'cargo fetch --locked', run: () => cargo('fetch', '--locked'), needed: true },
      { name: 'cargo fmt --check', run: () => cargo('fmt', '--check') },
      { name: 'third-party notices', run: () => run(process.execPath, ['scripts/third-party.mjs', '--check']) },
      ...tiers('cargo check --lib', 'check', '--lib'),
      ...tiers('cargo clippy', 'clippy', '--all-targets', '--', '-D', 'warnings'),
      { name: 'cargo doc', run: cargoDoc },
      { name: 'interop/: cargo fmt, clippy', run: interopLint }
    ],
    rust: tiers('cargo test', 'test', ...(whole ? [] : args)),
    types: [modules, {
      name: 'type tests (tsc)',
      run: () => run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '__test__/types'])
    }],
    js: [modules, addon, ...peer, { name: 'JavaScript tests', run: () => jsTests(args) }],
    packaging: [modules, addon, {
      name: 'packaging tests', run: () => nodeTest(testFiles('__test__').filter(isPackaging), [])
    }]
  }
  const list = groups.flatMap((group) => all[group])
  if (whole) list.push({ name: 'clean tree', run: () => cleanTree(before), always: true })
  // A step that several groups need runs once.
  return [...new Set(list)]
}

// A step returns { code } or nothing, or throws a Failure.
async function result (step) {
  try {
    const outcome = await step.run() ?? { code: 0 }
    if (outcome.skipped) return `skipped: ${outcome.skipped}`
    return outcome.code === 0 ? 'ok' : `failed (exit code ${outcome.code})`
  } catch (error) {
    say(error instanceof Failure ? error.message : error.stack)
    return 'failed'
  }
}

function summary (rows) {
  const width = Math.max(...rows.map(({ name }) => name.length))
  const count = (what) => rows.filter(({ outcome }) => outcome.startsWith(what)).length
  console.log(`\n${'step'.padEnd(width)}  ${'time'.padStart(12)}  result`)
  for (const { name, time, outcome } of rows) console.log(`${name.padEnd(width)}  ${time.padStart(12)}  ${outcome}`)
  const skipped = count('skipped')
  console.log(`\nsteps: ${count('ok')} passed, ${count('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  return count('failed')
}

main(async (args) => {
  // CI builds only once, so cargo's records for incremental builds would only cost time there.
  if (process.env.CI) process.env.CARGO_INCREMENTAL ??= '0'
  const started = performance.now()
  const named = GROUPS.filter((group) => args.includes(group))
  const groups = named.length > 0 ? named : GROUPS
  const before = await gitStatus()
  const rows = []
  let missing
  for (const step of steps(groups, args.filter((arg) => !GROUPS.includes(arg)), before)) {
    const since = performance.now()
    if (missing !== undefined && !step.always) {
      rows.push({ name: step.name, time: '', outcome: `skipped: ${missing} failed` })
      continue
    }
    console.log(`\n── ${step.name}`)
    const outcome = await result(step)
    rows.push({ name: step.name, time: seconds(since), outcome })
    if (step.needed && outcome.startsWith('failed')) missing = step.name
  }
  const failed = summary(rows)
  console.log(`total: ${seconds(started)}`)
  return failed > 0 ? 1 : 0
})
