// npm run pack:platform [-- --pack-destination DIR]: packs the package with the binary for the platform that this runs
// on.

import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { binary, ensureAddon, tag } from './addon.mjs'
import { npm } from './npm.mjs'
import { callerFolder, main, root } from './process.mjs'

const require = createRequire(import.meta.url)
const { packageName } = require('../lib/platform.js')

// The licences of what is linked into the binary: scripts/third-party.mjs.
const NOTICES = 'THIRD-PARTY-NOTICES.txt'

const LIBC = { gnu: 'glibc', musl: 'musl' }

function manifest () {
  const { version, license, author, engines } = require('../package.json')
  const [os, cpu, abi] = tag.split('-')
  return {
    name: packageName(tag),
    version,
    description: `The binary of tcp-stream-muxer for ${tag}`,
    license,
    author,
    main: path.basename(binary),
    files: [path.basename(binary), NOTICES],
    engines,
    os: [os],
    cpu: [cpu],
    ...(abi in LIBC && { libc: [LIBC[abi]] })
  }
}

main(async (args) => {
  await ensureAddon()
  const folder = path.join(root, 'target', 'npm', tag)
  fs.rmSync(folder, { recursive: true, force: true })
  fs.mkdirSync(folder, { recursive: true })
  fs.writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest(), null, 2)}\n`)
  fs.writeFileSync(path.join(folder, 'README.md'), `# ${packageName(tag)}

The binary of tcp-stream-muxer for ${tag}. Install tcp-stream-muxer, which brings it along.
`)
  for (const name of ['LICENSE', NOTICES]) fs.copyFileSync(path.join(root, name), path.join(folder, name))
  fs.copyFileSync(binary, path.join(folder, path.basename(binary)))
  const { code } = await npm(['pack', folder, ...args], { cwd: callerFolder })
  return code
})
