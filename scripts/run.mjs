// node scripts/run.mjs PROGRAM [ARGUMENTS]: installs and builds what is missing, then runs PROGRAM with Node.

import path from 'node:path'
import { ensureAddon } from './addon.mjs'
import { ensureModules, ensureOwnModules } from './npm.mjs'
import { callerFolder, main, root, run } from './process.mjs'

main(async ([program, ...args]) => {
  await ensureModules()
  await ensureOwnModules(path.dirname(program))
  await ensureAddon()
  const { code } = await run(process.execPath, [path.join(root, program), ...args], {
    cwd: callerFolder, isLast: true
  })
  return code
})
