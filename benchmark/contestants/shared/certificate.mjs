// The certificate of every contestant that encrypts, and what is told about it: ECDSA on P-256, for 127.0.0.1.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const FOLDER = new URL('../../../__test__/fixtures/tls/', import.meta.url)

const read = (name) => readFileSync(new URL(name, FOLDER), 'utf8')

export const authority = read('authority.pem')
export const certificate = read('server.pem')
export const key = read('server-key.pem')

export const pathOf = (name) => fileURLToPath(new URL(name, FOLDER))

/** The one cipher suite of all contestants that can choose: what both OpenSSL and rustls prefer by themselves. */
export const CIPHER = 'TLS_AES_256_GCM_SHA384'
