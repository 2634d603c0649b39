// Lists the files of a folder that are sent. The list has names and sizes. No link is followed out of the folder, and no
// file is opened.

import { lstat, readdir, realpath, stat } from 'node:fs/promises'
import path from 'node:path'

// lstat calls under way at once: libuv runs four, the rest hides the way through the event loop.
const AT_ONCE = 64

/**
 * Resolves with { files: [{ name, path, size }], skipped: [{ name, reason }] }. A name is relative to the folder and has
 * '/' between its parts on every system. Rejects only when the folder itself cannot be read.
 */
export async function list (folder) {
  const root = await realpath(folder)
  const files = []
  const skipped = []
  const waiting = ['']

  async function visit (entry, inFolder) {
    const name = inFolder === '' ? entry : `${inFolder}/${entry}`
    const at = path.join(root, ...name.split('/'))
    try {
      const info = await lstat(at)
      if (info.isDirectory()) waiting.push(name)
      else if (info.isFile()) files.push({ name, path: at, size: info.size })
      else if (info.isSymbolicLink()) await visitLink(name, at)
      // A FIFO or a device would block whoever opens it.
      else skipped.push({ name, reason: 'neither a file nor a folder' })
    } catch (error) {
      const undecodable = error.code === 'ENOENT' && entry.includes('\ufffd')
      skipped.push({ name, reason: undecodable ? 'its name is no Unicode' : reasonOf(error) })
    }
  }

  async function visitLink (name, at) {
    const target = await realpath(at)
    if (target !== root && !isInside(root, target)) {
      skipped.push({ name, reason: 'a link that leads out of the folder' })
      return
    }
    const info = await stat(target)
    if (info.isFile()) files.push({ name, path: target, size: info.size })
    // The files of a linked folder are already sent under their own names, and a link can close a circle.
    else skipped.push({ name, reason: 'a link to a folder' })
  }

  while (waiting.length > 0) {
    const inFolder = waiting.pop()
    let entries
    try {
      entries = await readdir(path.join(root, ...inFolder.split('/')))
    } catch (error) {
      if (inFolder === '') throw error
      skipped.push({ name: inFolder, reason: reasonOf(error) })
      continue
    }
    for (let from = 0; from < entries.length; from += AT_ONCE) {
      await Promise.all(entries.slice(from, from + AT_ONCE).map((entry) => visit(entry, inFolder)))
    }
  }
  return { files, skipped }
}

export function isInside (root, target) {
  const relative = path.relative(root, target)
  return relative !== '' && relative !== '..' && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative)
}

export function reasonOf (error) {
  return error.code ?? error.message
}
