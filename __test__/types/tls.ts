// TLS: options of both ends, what a connection tells of its peer.

import { type X509Certificate } from 'node:crypto'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import { MuxClient, MuxServer, type ClientTlsOptions, type ServerTlsOptions } from '../../index.js'

function is<T> (value: T): T {
  return value
}

const pem = Buffer.from('')
const identity: ServerTlsOptions = { cert: pem, key: { pem: '', passphrase: 'secret' } }
const server = new MuxServer({
  port: 0,
  tls: {
    cert: [pem, ''], key: [pem, { pem }], passphrase: 'secret', ca: [pem], requestCert: true, rejectUnauthorized: false,
    ALPNProtocols: ['tcp-stream-muxer/1'], minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', sessionResumption: false, keylog: true
  },
  verifyConnection: ({ encrypted, certificate, authorized, authorizationError, alpnProtocol, servername }) =>
    encrypted && authorized === true && authorizationError === null && alpnProtocol !== false && servername === 'a' &&
    certificate?.subject === 'CN=a'
})
new MuxServer({ tls: false })
is<MuxServer>(server.setSecureContext(identity))
is<MuxServer>(server.addContext('*.example.org', { cert: pem, key: pem }))
new MuxServer({ tls: { ...identity, SNICallback: (name, callback) => callback(null, name === 'a' ? identity : null) } })
server.on('tlsClientError', (error, info) => is<string | undefined>(info.remoteAddress ?? error.code))
server.once('keylog', (line) => is<Buffer>(line))
server.on('connection', (con) => {
  is<boolean>(con.encrypted && con.authorized && con.isSessionReused())
  is<string | null>(con.authorizationError)
  is<string | false>(con.alpnProtocol || con.servername)
  is<PeerCertificate | null>(con.getPeerCertificate())
  is<PeerCertificate | undefined>(con.getPeerCertificate(true)?.issuerCertificate)
  is<X509Certificate | undefined>(con.getPeerX509Certificate())
  is<'TLSv1.2' | 'TLSv1.3' | null>(con.getProtocol())
  is<string | undefined>(con.getCipher().name)
})

const client: ClientTlsOptions = { ...identity, servername: 'example.org', checkServerIdentity }
new MuxClient({ port: 1, tls: client }).on('keylog', (line) => is<Buffer>(line))
new MuxClient({ port: 1, tls: true })

// What must not compile.

// @ts-expect-error: a server has a certificate
new MuxServer({ tls: true })
// @ts-expect-error: a certificate has a key
new MuxServer({ tls: { cert: pem } })
// @ts-expect-error: an old version
new MuxClient({ port: 1, tls: { minVersion: 'TLSv1.1' } })
// @ts-expect-error: only a server asks
new MuxClient({ port: 1, tls: { requestCert: true } })
// @ts-expect-error: options of TLS stand in tls
new MuxClient({ port: 1, rejectUnauthorized: false })
// @ts-expect-error: it has no counterpart
new MuxServer({ tls: { ...identity, ciphers: 'HIGH' } })
