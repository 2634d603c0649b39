import { MuxServer, MuxClient, util } from 'tcp-stream-muxer'

const server: MuxServer = new MuxServer({ port: 0 })
const client: MuxClient = new MuxClient({ port: 1 })
export const parts = [server, client, util]
