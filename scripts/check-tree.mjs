// Checks that no compiler and no test makes: the length of source files, and that the manifests agree with each other.

import fs from 'node:fs'
import path from 'node:path'
import { root } from './process.mjs'

const SOURCE_LIMIT = 500
const TEST_LIMIT = 700

const SOURCE = /\.(rs|js|cjs|mjs|ts|cts|mts)$/
const TEST = /(^|\/)(__test__|tests)\/|(^|\/)tests\.rs$/
// The declarations of a package are read as one document.
const EXEMPT = new Set(['index.d.ts'])
const SKIPPED = new Set(['node_modules', 'target'])

function * files (folder = '') {
  for (const entry of fs.readdirSync(path.join(root, folder), { withFileTypes: true })) {
    const name = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (entry.isFile()) yield name
    else if (entry.isDirectory() && !entry.name.startsWith('.') && !SKIPPED.has(entry.name)) yield * files(name)
  }
}

const read = (name) => fs.readFileSync(path.join(root, name), 'utf8')

function * overlong () {
  for (const name of files()) {
    if (!SOURCE.test(name) || EXEMPT.has(name)) continue
    const lines = read(name).split('\n').length - 1
    const limit = TEST.test(name) ? TEST_LIMIT : SOURCE_LIMIT
    if (lines > limit) yield `${name} has ${lines} lines, ${limit} are allowed: split it where its seams are`
  }
}

function * manifests () {
  const { version, files, scripts, optionalDependencies } = JSON.parse(read('package.json'))
  const lock = JSON.parse(read('package-lock.json'))
  const versions = {
    'package-lock.json': lock.version,
    'Cargo.toml': /^\[package\][^[]*?^version = "([^"]+)"/ms.exec(read('Cargo.toml'))?.[1],
    'Cargo.lock': /^name = "tcp-stream-muxer"\nversion = "([^"]+)"/m.exec(read('Cargo.lock'))?.[1]
  }
  for (const [name, other] of Object.entries(versions)) {
    if (other !== version) yield `${name} says version ${other}, package.json ${version}`
  }
  if (optionalDependencies !== undefined) yield 'package.json has optionalDependencies: only the packed one may'
  for (const hook of ['preinstall', 'install', 'postinstall', 'prepare']) {
    if (scripts[hook] !== undefined) yield `package.json has a script "${hook}": installing may not run anything`
  }
  for (const [folder, { resolved }] of Object.entries(lock.packages)) {
    if (resolved !== undefined) yield `package-lock.json names the registry of ${folder}: npm reads .npmrc for that`
  }
  for (const name of files) {
    if (name.startsWith('!') || fs.existsSync(path.join(root, name))) continue
    yield `package.json packs ${name}: it is missing`
  }
}

// Returns one sentence for each fault.
export function checkTree () {
  return [...overlong(), ...manifests()]
}
