// Runs in an empty folder, with what was installed there.

import Muxer, { MuxServer, MuxClient, util } from 'tcp-stream-muxer'
import roundTrip from './round-trip-body.cjs'

if (Muxer.MuxServer !== MuxServer || Muxer.util !== util) throw new Error('two different exports of one name')

roundTrip({ MuxServer, MuxClient })
