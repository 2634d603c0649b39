// Calls npm, and installs the development packages when they are not what package-lock.json asks for. Node alone.

import fs from 'node:fs'
import path from 'node:path'
import { restoreManifest } from './pack-manifest.mjs'
import { Failure, root, run, say, seconds } from './process.mjs'

// npm as a script for this Node: no shell and no .cmd file in between. Inside `npm run` it says itself where it is.
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

// What npm leaves out here: packages for other platforms.
function isForeign ({ optional, os, cpu }) {
  const fits = (list, value) => list === undefined || list.includes(value)
  return optional && !(fits(os, process.platform) && fits(cpu, process.arch))
}

// Why `npm ci` is due, or undefined. npm records in node_modules what it installed there.
function staleness () {
  const wanted = readLock('package-lock.json')
  if (wanted === undefined) throw new Failure('package-lock.json is missing or unreadable')
  const installed = readLock('node_modules/.package-lock.json')
  if (installed === undefined) return 'node_modules is missing'
  for (const [folder, entry] of Object.entries(wanted)) {
    if (folder === '' || isForeign(entry)) continue
    if (installed[folder]?.version !== entry.version || !fs.existsSync(path.join(root, folder, 'package.json'))) {
      return `${folder} is not what package-lock.json asks for`
    }
  }
  return undefined
}

export async function ensureModules () {
  // An interrupted `npm pack` leaves a package.json that `npm ci` refuses.
  if (restoreManifest()) say('Restored package.json, which an interrupted npm pack had left changed')
  const reason = staleness()
  if (reason === undefined) return
  const started = performance.now()
  say(`Installing the development packages (${reason}): npm ci`)
  const { code } = await npm(['ci', '--include=dev', '--no-audit', '--no-fund'], { heartbeat: 'npm ci' })
  if (code !== 0) throw new Failure(`npm ci ended with exit code ${code}: nothing can be run yet`, code)
  say(`Installed the development packages in ${seconds(started)}`)
}
