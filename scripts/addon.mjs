// Builds the addon with cargo, if its sources have changed. This file may need nothing that `npm ci` installs.

import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { Failure, root, run, say, seconds } from './process.mjs'

const require = createRequire(import.meta.url)
const { platformTag, binaryName } = require('../lib/platform.js')

export const tag = platformTag()
export const binary = path.join(root, binaryName(tag))

const stampFile = path.join(root, 'target', 'addon-stamp.json')
const inputs = ['Cargo.toml', 'Cargo.lock', 'build.rs', 'lib/boundary.json', 'rust-toolchain.toml', '.cargo', 'src']
const flags = ['RUSTFLAGS', 'CARGO_ENCODED_RUSTFLAGS']

// `cargo build` would make both crate types at once, and then drops LTO without a word.
const cargoArgs = ['rustc', '--release', '--lib', '--crate-type', 'cdylib', '--message-format=json-render-diagnostics']

function filesUnder (name) {
  const file = path.join(root, name)
  const stat = fs.statSync(file, { throwIfNoEntry: false })
  if (stat === undefined) return []
  if (!stat.isDirectory()) return [name]
  return fs.readdirSync(file).sort().flatMap((entry) => filesUnder(`${name}/${entry}`))
}

const sha256 = (data) => createHash('sha256').update(data).digest('hex')

function sourceStamp () {
  const hash = createHash('sha256')
  for (const name of inputs.flatMap(filesUnder)) {
    hash.update(`${name}\0${sha256(fs.readFileSync(path.join(root, name)))}\n`)
  }
  for (const flag of flags) hash.update(`${flag}=${process.env[flag] ?? ''}\n`)
  return hash.digest('hex')
}

// Returns undefined if there is no Rust: a binary that fits its sources may still be used then.
async function rustcVersion () {
  try {
    const { code, stdout } = await run('rustc', ['-vV'], { capture: true })
    return code === 0 ? stdout : undefined
  } catch {
    return undefined
  }
}

function readStamp () {
  try {
    return JSON.parse(fs.readFileSync(stampFile, 'utf8'))
  } catch {
    return undefined
  }
}

// Returns why a build is due, or undefined if the binary is what the sources build.
function staleness (source, rustc) {
  if (!fs.existsSync(binary)) return `${path.basename(binary)} is missing`
  const stamp = readStamp()
  if (stamp === undefined) return 'there is no record of the last build'
  if (stamp.source !== source) return 'the sources have changed'
  if (rustc !== undefined && stamp.rustc !== rustc) return 'the Rust compiler has changed'
  if (stamp.binary !== sha256(fs.readFileSync(binary))) return `${path.basename(binary)} is not what was built`
  return undefined
}

// The name and the folder of the library differ by platform and by CARGO_TARGET_DIR, so cargo is asked.
function builtLibrary (messages) {
  for (const line of messages.split('\n')) {
    if (!line.startsWith('{')) continue
    const { reason, target, filenames } = JSON.parse(line)
    if (reason === 'compiler-artifact' && target.name === 'tcp_stream_muxer' && target.crate_types.includes('cdylib')) {
      return filenames.find((name) => /\.(so|dylib|dll)$/.test(name))
    }
  }
  throw new Failure('cargo named no library among what it built')
}

// The file is renamed into place. A running process may have the old file mapped, and would crash if that were
// overwritten.
function install (library) {
  const temporary = `${binary}.${process.pid}`
  fs.copyFileSync(library, temporary)
  fs.renameSync(temporary, binary)
}

export async function ensureAddon ({ force = false, verbose = false } = {}) {
  const rustc = await rustcVersion()
  const source = sourceStamp()
  const reason = force ? 'asked for' : staleness(source, rustc)
  if (reason === undefined) {
    if (verbose) say(`${path.basename(binary)} is up to date`)
    return
  }
  if (rustc === undefined) {
    throw new Failure(`cannot build the addon (${reason}): Rust was not found; install its stable toolchain first`)
  }
  const started = performance.now()
  say(`Building the addon (${reason}); from nothing it takes a minute or more`)
  say(`cargo ${cargoArgs.slice(0, 5).join(' ')}`)
  const { code, stdout } = await run('cargo', cargoArgs, { capture: true, heartbeat: 'building the addon' })
  if (code !== 0) throw new Failure(`the addon was not built: cargo ended with exit code ${code}`, code)
  install(builtLibrary(stdout))
  fs.mkdirSync(path.dirname(stampFile), { recursive: true })
  fs.writeFileSync(stampFile, JSON.stringify({ source, rustc, binary: sha256(fs.readFileSync(binary)) }))
  say(`Built ${path.basename(binary)} in ${seconds(started)}`)
}
