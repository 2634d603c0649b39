// npm run fuzz [-- TARGET [SECONDS | FILE…]]: runs cargo-fuzz on one target or on all, each for SECONDS (60), or on the
// inputs in files, as an earlier run left them.
//
// The script installs cargo-fuzz into target/ if it is missing. New inputs that the fuzzer keeps go to
// fuzz/target/corpus, and inputs that fail to fuzz/artifacts. The script only reads fuzz/corpus, which the ordinary
// tests run.

import fs from 'node:fs'
import path from 'node:path'
import { Failure, callerFolder, main, root, run } from './process.mjs'

const VERSION = '0.13.2'
const SECONDS = 60

// A longer input reaches no more states: the simulation stops by itself after some thousand decisions.
const LONGEST = 8192

// The seconds that one input may take, with the sanitizer, on a busy machine. An input that takes longer is a finding.
const SLOWEST = 60

const tools = path.join(root, 'target', 'tools')
const fuzz = path.join(root, 'fuzz')
const targets = fs.readdirSync(path.join(fuzz, 'fuzz_targets')).map((name) => path.parse(name).name).sort()

// RUSTC_BOOTSTRAP lets a stable compiler take the flags of the sanitizer and of the coverage counters.
const env = { RUSTC_BOOTSTRAP: '1', PATH: `${path.join(tools, 'bin')}${path.delimiter}${process.env.PATH}` }

async function ensureCargoFuzz () {
  try {
    const { code, stdout } = await run('cargo-fuzz', ['--version'], { env, capture: true })
    if (code === 0 && stdout.trim().endsWith(VERSION)) return
  } catch {
    // cargo-fuzz is not installed.
  }
  const args = ['install', 'cargo-fuzz', '--locked', '--version', VERSION, '--root', tools]
  const { code } = await run('cargo', args, { heartbeat: 'cargo install cargo-fuzz' })
  if (code !== 0) throw new Failure('cargo-fuzz could not be installed')
}

// The stable toolchain has an address sanitizer on these platforms. Elsewhere only panics and exceeded limits are
// found.
const sanitizer = ['linux', 'darwin'].includes(process.platform) ? 'address' : 'none'

async function fuzzTarget (target, seconds, files) {
  const found = path.join(fuzz, 'target', 'corpus', target)
  fs.mkdirSync(found, { recursive: true })
  const inputs = files.length > 0 ? files : [found, path.join(fuzz, 'corpus', target)]
  const limits = [`-timeout=${SLOWEST}`, `-max_len=${LONGEST}`]
  if (files.length === 0) limits.push(`-max_total_time=${seconds}`, '-print_final_stats=1')
  const args = ['fuzz', 'run', '--sanitizer', sanitizer, target, ...inputs, '--', ...limits]
  const { code } = await run('cargo', args, { env })
  return code
}

main(async (args) => {
  const [target, ...rest] = args
  if (target !== undefined && !targets.includes(target)) {
    throw new Failure(`there is no target ${target}, only ${targets.join(', ')}`)
  }
  const isSeconds = rest.length === 1 && /^\d+$/.test(rest[0])
  const files = isSeconds ? [] : rest.map((name) => path.resolve(callerFolder, name))
  for (const file of files) if (!fs.existsSync(file)) throw new Failure(`there is no file ${file}`)
  await ensureCargoFuzz()
  for (const name of target === undefined ? targets : [target]) {
    const code = await fuzzTarget(name, isSeconds ? rest[0] : SECONDS, files)
    if (code !== 0) return code
  }
})
