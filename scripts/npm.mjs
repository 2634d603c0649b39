// Calls npm, and installs the development packages if they differ from package-lock.json. This file may need nothing
// that `npm ci` installs.

import fs from 'node:fs'
import path from 'node:path'
import { restoreManifest } from './pack-manifest.mjs'
import { Failure, root, run, say, seconds } from './process.mjs'

// npm runs as a script of this Node, with no shell and no .cmd file in between. Within `npm run`, npm itself says where
// it is.
export function npmCommand () {
  const bin = path.dirname(process.execPath)
  const file = [
    process.env.npm_execpath,
    path.join(bin, '../lib/node_modules/npm/bin/npm-cli.js'),
    path.join(bin, 'node_modules/npm/bin/npm-cli.js')
  ].find((candidate) => candidate?.endsWith('npm-cli.js') && fs.existsSync(candidate))
  return file === undefined ? ['npm'] : [process.execPath, file]
}

export function npm (args, options) {
  const [command, ...rest] = npmCommand()
  return run(command, [...rest, ...args], options)
}

function readLock (file) {
  try {
    return JSON.parse(fs.readFileSync(path.join(root, file), 'utf8')).packages
  } catch {
    return undefined
  }
}

// Whether npm leaves a package out here, because it is for another platform.
function isForeign ({ optional, os, cpu }) {
  const fits = (list, value) => list === undefined || list.includes(value)
  return optional && !(fits(os, process.platform) && fits(cpu, process.arch))
}

// Returns why `npm ci` is due in a folder, or undefined. npm records in node_modules what it installed there.
function staleness (folder) {
  const lock = path.join(folder, 'package-lock.json')
  const wanted = readLock(lock)
  if (wanted === undefined) throw new Failure(`${lock} is missing or unreadable`)
  const installed = readLock(path.join(folder, 'node_modules/.package-lock.json'))
  if (installed === undefined) return `${path.join(folder, 'node_modules')} is missing`
  for (const [name, entry] of Object.entries(wanted)) {
    if (name === '' || isForeign(entry)) continue
    if (installed[name]?.version !== entry.version || !fs.existsSync(path.join(root, folder, name, 'package.json'))) {
      return `${path.join(folder, name)} is not what package-lock.json asks for`
    }
  }
  return undefined
}

async function install (folder, what) {
  const reason = staleness(folder)
  if (reason === undefined) return
  const started = performance.now()
  say(`Installing ${what} (${reason}): npm ci`)
  const cwd = path.join(root, folder)
  const { code } = await npm(['ci', '--include=dev', '--no-audit', '--no-fund'], { cwd, heartbeat: 'npm ci' })
  if (code !== 0) throw new Failure(`npm ci ended with exit code ${code}: nothing can be run yet`, code)
  say(`Installed ${what} in ${seconds(started)}`)
}

export async function ensureModules () {
  // An interrupted `npm pack` leaves a package.json that `npm ci` refuses.
  if (restoreManifest()) say('Restored package.json, which an interrupted npm pack had left changed')
  await install('', 'the development packages')
}

// Installs the packages of a program that has a package.json of its own. Other programs need nothing.
export async function ensureOwnModules (folder) {
  if (fs.existsSync(path.join(root, folder, 'package-lock.json'))) await install(folder, `the packages of ${folder}`)
}
