// Puts the platform packages into package.json while `npm pack` reads it (prepack), and takes them out again
// (postpack).
//
// Otherwise they may not stand there: `npm ci` refuses a package.json with packages that package-lock.json does not
// know, and before the first release no registry has them. The insertion is one run of text, and removing it needs no
// copy of what was before. So anyone can undo an interrupted pack at any time, without losing an edit.

import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const manifest = fileURLToPath(new URL('../package.json', import.meta.url))
const self = fileURLToPath(import.meta.url)

// The platforms that are built and tested for a release. On any other platform, `npm run pack:platform` makes a binary.
const PLATFORMS = ['linux-x64-gnu']

const ADDED = /,\n {2}"optionalDependencies": \{\n(?: {4}"@tcp-stream-muxer\/[^"]+": "[^"]+",?\n)+ {2}\}(?=\n\}\s*$)/

// A pack takes about a second. If npm's process cannot be watched, the guard waits this long.
const GUARD_LIMIT = 60_000
const GUARD_INTERVAL = 100

// The file is renamed into place, so that nobody ever reads half a package.json.
function write (text) {
  const temporary = `${manifest}.${process.pid}`
  fs.writeFileSync(temporary, text)
  fs.renameSync(temporary, manifest)
}

export function isManifestChanged () {
  return ADDED.test(fs.readFileSync(manifest, 'utf8'))
}

// Returns whether there was something to remove.
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

// Returns npm's own process. npm runs a script through a shell: some shells replace themselves by the script, others do
// not.
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

// npm runs no postpack if the pack fails or is interrupted. Then a process of its own restores package.json.
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
  // The guard starts before the change is made, and must not take "not yet" for "no longer".
  let wasChanged = false
  while (Date.now() < limit) {
    const changed = isManifestChanged()
    if (wasChanged && !changed) return
    wasChanged ||= changed
    if (pid !== undefined && !isAlive(pid)) break
    await interval()
  }
  // The script that makes the change may have outlived npm by a moment, and make the change now.
  await interval()
  restoreManifest()
}

// npm sends the registry the package.json of the folder, as postpack has restored it, without the platform packages.
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
