// Puts the platform packages into package.json while `npm pack` reads it (prepack), and takes them out again
// (postpack).
//
// They may not stand there otherwise: `npm ci` refuses a package.json that names packages which package-lock.json
// does not know, and before the first release they exist in no registry. What is put in is one run of text, and taking
// it out needs no copy of what was before: so an interrupted pack can be undone at any time, by anyone, without losing
// an edit.

import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const manifest = fileURLToPath(new URL('../package.json', import.meta.url))
const self = fileURLToPath(import.meta.url)

// What is built and tested for a release. A binary for any other platform is made by `npm run pack:platform` there.
const PLATFORMS = ['linux-x64-gnu']

const ADDED = /,\n {2}"optionalDependencies": \{\n(?: {4}"@tcp-stream-muxer\/[^"]+": "[^"]+",?\n)+ {2}\}(?=\n\}\s*$)/

// A pack takes about a second. Where npm's process cannot be watched the guard waits this long.
const GUARD_LIMIT = 60_000
const GUARD_INTERVAL = 100

// A rename, so that nobody ever reads half a package.json.
function write (text) {
  const temporary = `${manifest}.${process.pid}`
  fs.writeFileSync(temporary, text)
  fs.renameSync(temporary, manifest)
}

export function isManifestChanged () {
  return ADDED.test(fs.readFileSync(manifest, 'utf8'))
}

// True when there was something to take out.
export function restoreManifest () {
  const text = fs.readFileSync(manifest, 'utf8')
  const restored = text.replace(ADDED, '')
  if (restored === text) return false
  write(restored)
  return true
}

function add () {
  restoreManifest()
  const text = fs.readFileSync(manifest, 'utf8')
  const { version } = JSON.parse(text)
  const lines = PLATFORMS.map((tag) => `    "@tcp-stream-muxer/${tag}": "${version}"`)
  startGuard()
  write(text.replace(/\n\}\s*$/, (end) => `,\n  "optionalDependencies": {\n${lines.join(',\n')}\n  }${end}`))
  if (!isManifestChanged()) throw new Error('package.json does not end as expected: nothing was added to it')
}

function remove () {
  if (restoreManifest()) return
  process.stderr.write('package.json was restored before npm pack had ended: do not use its tarball, pack again\n')
  process.exitCode = 1
}

// npm's own process: npm runs a script through a shell, which some shells replace by the script and some do not.
function npmProcess () {
  try {
    const command = fs.readFileSync(`/proc/${process.ppid}/comm`, 'utf8').trim()
    if (!/^(ba|da|k|z)?sh$/.test(command)) return process.ppid
    const stat = fs.readFileSync(`/proc/${process.ppid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return undefined
  }
}

// npm runs no postpack when the pack fails or is interrupted. A process of its own restores package.json then.
function startGuard () {
  const npm = npmProcess()
  spawn(process.execPath, [self, 'guard', ...(npm ? [String(npm)] : [])], { detached: true, stdio: 'ignore' }).unref()
}

function isAlive (pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

async function guard (pid) {
  const interval = () => new Promise((resolve) => setTimeout(resolve, GUARD_INTERVAL))
  const limit = Date.now() + GUARD_LIMIT
  // It starts before the change is made, and must not take "not yet" for "no longer".
  let wasChanged = false
  while (Date.now() < limit) {
    const changed = isManifestChanged()
    if (wasChanged && !changed) return
    wasChanged ||= changed
    if (pid !== undefined && !isAlive(pid)) break
    await interval()
  }
  // Who made the change may have outlived npm by a moment, and make it now.
  await interval()
  restoreManifest()
}

// npm sends the registry the package.json of the folder, as postpack has restored it: without the platform packages.
function refusePublish () {
  process.stderr.write('Publish the tarballs, not the folder: npm run pack:platform, npm pack, ' +
    'then npm publish FILE.tgz (the platform package first)\n')
  process.exitCode = 1
}

if (process.argv[1] && pathToFileURL(fs.realpathSync(process.argv[1])).href === import.meta.url) {
  const [command, pid] = process.argv.slice(2)
  if (command === 'add') add()
  else if (command === 'remove') remove()
  else if (command === 'guard') await guard(pid && Number(pid))
  else if (command === 'refuse-publish') refusePublish()
  else throw new Error(`${path.basename(self)} add | remove | refuse-publish`)
}
