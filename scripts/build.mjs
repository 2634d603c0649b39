// npm run build [-- --force]: builds the addon from source. The script needs Node and cargo, and nothing else.

import { ensureAddon } from './addon.mjs'
import { Failure, main } from './process.mjs'

main(async (args) => {
  const unknown = args.find((arg) => arg !== '--force')
  if (unknown !== undefined) throw new Failure(`npm run build takes --force and nothing else, not ${unknown}`)
  await ensureAddon({ force: args.includes('--force'), verbose: true })
})
