// The machine and the versions of a measurement, without which its numbers mean nothing.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import os from 'node:os'
import process from 'node:process'

export function machine (cpus) {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memory: os.totalmem(),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    rustc: rustc(),
    cpus: cpus ?? 'all',
    load: os.loadavg()[0]
  }
}

function rustc () {
  try {
    // The command runs in the package's folder, because a rust-toolchain.toml there decides which compiler is used.
    return execFileSync('rustc', ['--version'], { encoding: 'utf8', cwd: new URL('../..', import.meta.url) }).trim()
  } catch {
    return 'not installed'
  }
}

function versionIn (file) {
  try {
    return JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')).version
  } catch {
    return undefined
  }
}

/** The version in the report's list. A contestant without a package is part of Node or of this repository. */
export function versionOf (packageName) {
  return packageName ? versionIn(`../node_modules/${packageName}/package.json`) : undefined
}

export function ownVersion () {
  return versionIn('../../package.json')
}
