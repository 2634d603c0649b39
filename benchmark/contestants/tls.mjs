// Node's own TLS sockets with their defaults, Nagle included, one for each stream. A session is resumed only where a
// workload asks for it, because a program has to see to that by itself.

import { once } from 'node:events'
import tls from 'node:tls'
import { listening } from './shared/carrier.mjs'
import { CIPHER, authority, certificate, key } from './shared/certificate.mjs'
import { features as plain, sockets } from './shared/sockets.mjs'

export const title = 'tls, a socket per stream'

export const packageName = null

export const features = { ...plain, resumes: true }

const suite = { ciphers: CIPHER, minVersion: 'TLSv1.3' }

let session

const transport = {
  listen (host, options, onSocket) {
    return listening(tls.createServer({ key, cert: certificate, ...suite, ...options }, onSocket), host)
  },

  async connect (host, port, { resumes = false, ...options } = {}) {
    const own = { ca: authority, ...suite, session: resumes ? session : undefined }
    const socket = tls.connect({ host, port, ...own, ...options })
    if (resumes) socket.on('session', (one) => { session = one })
    await once(socket, 'secureConnect')
    return socket
  }
}

export const { listen, connect } = sockets(undefined, transport)
