// npm run build [-- --force]: the addon, from source. Needs Node and cargo, nothing else.

import { ensureAddon } from './addon.mjs'
import { Failure, main } from './process.mjs'

main(async (args) => {
  const unknown = args.find((arg) => arg !== '--force')
  if (unknown !== undefined) throw new Failure(`npm run build takes --force and nothing else, not ${unknown}`)
  await ensureAddon({ force: args.includes('--force'), verbose: true })
})
