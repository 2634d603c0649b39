/// <reference types="node" />

import { AddressInfo, BlockList, DropArgument, LookupFunction, Server } from 'node:net'
import { Duplex } from 'node:stream'
import { EventEmitter } from 'node:events'
import { IncomingMessage } from 'node:http'
import { X509Certificate } from 'node:crypto'
import { ReadStream, WriteStream } from 'node:fs'
import { PeerCertificate, DetailedPeerCertificate } from 'node:tls'

/** A value that has a JSON form. The text that JSON.stringify makes is sent; objects may have a `toJSON`. */
export type JsonValue = string | number | boolean | null | object

/**
 * The values of stream.write() and stream.end(): bytes go as they are, anything else as the bytes of its JSON text.
 */
export type Sendable = NodeJS.ArrayBufferView | ArrayBuffer | SharedArrayBuffer | JsonValue

/** Options of every connection: those that a server accepts, and the client's own. */
export interface ConnectionOptions {
  /**
   * Turns Nagle's algorithm off. Frames are gathered per turn, so the algorithm would only add latency. Default:
   * true.
   */
  noDelay?: boolean | undefined
  /** Turns TCP keep-alive on. Default: false. */
  keepAlive?: boolean | undefined
  /** Delay before the first keep-alive probe, in milliseconds; 0 leaves the system's own. Default: 0. */
  keepAliveInitialDelay?: number | undefined
  /**
   * Bytes that the program's own thread hands to the kernel at once; what is more goes by way of the engine's thread.
   * 0 to 2^31 - 1. Default: no limit on a machine with one or two processors, else 16384.
   */
  directSendLimit?: number | undefined
  /**
   * Whether a connection, and on QMux each of its streams, stays open for writing after the peer's end. If not, a
   * stream's half that the program leaves open ends by the rules of docs/API.md, "Half-open streams". Default: false.
   */
  allowHalfOpen?: boolean | undefined
  /**
   * Captures the rejections of async listeners of the server or client, its connections and their streams, as the
   * option of EventEmitter does. Each rejection ends the connection or stream that it is about. Default: false.
   */
  captureRejections?: boolean | undefined
  /**
   * 'auto' tells the peer, in a frame that old peers skip, that this end is new, and moves to QMux if the peer is, too;
   * 'legacy' sends nothing that version 0.1.0 would not; 'qmux' speaks QMux from the first byte and nothing else.
   * Default: 'auto'.
   */
  protocol?: 'auto' | 'legacy' | 'qmux' | undefined
  /**
   * 'new' says that the peer is known not to be version 0.1.0, which lifts the pacing that protects it from its own
   * bugs. Default: 'auto': paced until the peer has shown that it is new.
   */
  peer?: 'auto' | 'new' | undefined
  /**
   * On the legacy wire: bytes that the paused streams of a connection may hold before its socket is no longer read.
   * Each chunk counts for its bytes and 128 more, which is what keeping it costs. 1 to 2^31 - 1; default: 262144.
   */
  readableHighWaterMark?: number | undefined
  /**
   * Bytes queued on a connection from which on write() of its streams returns false; 'drain' comes at half of it.
   * 1 to 2^31 - 1; default: 262144.
   */
  writableHighWaterMark?: number | undefined
  /**
   * On the legacy wire: bytes kept for a stream whose data nobody has asked for yet; past it the whole stream is
   * discarded. Each chunk counts for its bytes and 128 more, which is what keeping it costs. 0 to 2^31 - 1; default:
   * 262144.
   */
  unclaimedLimit?: number | undefined
  /** Longest meta accepted from a peer, in bytes of JSON text. Default: 4194304. */
  maxMetaSize?: number | undefined
  /**
   * Bytes that the metas of a peer's live streams may take in sum. A meta counts for its JSON text; a longer meta
   * that the program has looked at counts for what it takes when it is parsed. Default: 16777216 (16 MiB).
   */
  maxMetaTotal?: number | undefined
  /** Longest end value accepted from a peer, in bytes of JSON text. Default: 4194304. */
  maxEndValueSize?: number | undefined
  /** Deepest nesting of JSON accepted from a peer. Default: 512. */
  maxJsonDepth?: number | undefined
  /**
   * Streams of this end that may live: not ended, reset or destroyed here. On the legacy wire the streams of both
   * ends count, and at most 256 may live. 1 to 2^53 - 1; default: 256.
   */
  maxStreams?: number | undefined
  /**
   * Streams of the peer's that may live. The peer waits before it opens more, unless it is version 0.1.0.
   * 0 to 2^53 - 1; default: 256.
   */
  maxIncomingStreams?: number | undefined
  /** QMux: streams of the peer's that may wait for 'stream' to be emitted. 1 to 2^31 - 1; default: 256. */
  maxPendingStreams?: number | undefined
  /**
   * QMux: bytes that the peer may at first send on a stream ahead of its reader. You may set this or
   * `maxStreamWindow` alone; the other is adjusted to match. Default: 262144.
   */
  streamWindow?: number | undefined
  /** QMux: what `streamWindow` may grow to, if it is too little for the link. Default: 16777216 (16 MiB). */
  maxStreamWindow?: number | undefined
  /** QMux: bytes that the peer may at first send on all streams, beyond what unread streams hold. Default: 1048576. */
  connectionWindow?: number | undefined
  /** QMux: what `connectionWindow` may grow to, if it is too little for the link. Default: 67108864 (64 MiB). */
  maxConnectionWindow?: number | undefined
  /** QMux: bytes that unread streams may hold before they narrow the connection's window. Default: 67108864 (64 MiB). */
  maxHeld?: number | undefined
  /** QMux: longest record accepted, in bytes. 16382 to 2^31 - 1; default: 65552. */
  maxRecordSize?: number | undefined
  /**
   * Milliseconds within which a peer must finish saying what it speaks, from its first byte; 0: no limit. A silent
   * peer is not late, unless `protocol` is 'qmux', which both ends have to speak at once. Default: 10000.
   */
  handshakeTimeout?: number | undefined
  /**
   * Milliseconds without a whole frame or record after which the connection ends, if the peer asks for no less; 0: none.
   * Default: 0.
   */
  idleTimeout?: number | undefined
  /** QMux: milliseconds without a record from the peer after which the peer is pinged; 0: never. Default: 30000. */
  pingInterval?: number | undefined
  /** QMux: milliseconds for which nothing may come after a ping was due; 0: no limit. Default: 30000. */
  pingTimeout?: number | undefined
  /**
   * QMux: resets and stops by the peer of streams that the application has not answered yet, allowed at once and per
   * second. Default: 1000.
   */
  maxResets?: number | undefined
  /** QMux: pings of the peer's allowed at once and per second. Default: 100. */
  maxPings?: number | undefined
  /** QMux: empty frames of the peer's allowed at once and per second. Default: 100000. */
  maxEmptyFrames?: number | undefined
  /** QMux: frames of the peer's that change nothing allowed at once and per second. Default: 1000. */
  maxUselessFrames?: number | undefined
}

/** What a server knows of a connection before it lets the connection in. Addresses are undefined on a Unix socket. */
export interface ConnectionInfo {
  remoteAddress: string | undefined
  remotePort: number | undefined
  remoteFamily: 'IPv4' | 'IPv6' | undefined
  localAddress: string | undefined
  localPort: number | undefined
  localFamily: 'IPv4' | 'IPv6' | undefined
  /** Whether the connection is encrypted. If the server has `tls`, the handshake is done, and the properties below are there. */
  encrypted: boolean
  /** The request that asked an http.Server for an upgrade. */
  request?: IncomingMessage | undefined
  /** The client's certificate; undefined if the client has shown none. */
  certificate?: X509Certificate | undefined
  /** Whether the client's certificate was verified. */
  authorized?: boolean
  /** The code of what is wrong with the certificate, if `rejectUnauthorized: false` allows it. */
  authorizationError?: string | null
  /** The application protocol that both ends agreed on. */
  alpnProtocol?: string | false
  /** The server's name that the client asked for. */
  servername?: string | false
}

/** A text in PEM. */
export type Pem = string | NodeJS.ArrayBufferView

/** Options of TLS that both ends take, with the names of Node's tls. What is not among them throws. */
export interface TlsOptions {
  /**
   * Certificates in PEM, each text with the intermediate ones behind its own. In a list the first one is taken whose key
   * the peer can do with.
   */
  cert?: Pem | readonly Pem[] | undefined
  /** Private keys in PEM: one for each of `cert`, in the same order, or one for all. */
  key?: Pem | TlsKey | ReadonlyArray<Pem | TlsKey> | undefined
  /** For keys that are encrypted. */
  passphrase?: string | undefined
  /**
   * Authorities that may vouch for the peer, in PEM. A certificate that is itself among them is trusted, too. Default:
   * those of Node.
   */
  ca?: Pem | readonly Pem[] | null | undefined
  /**
   * Ends a connection whose peer cannot be verified. With false the program has to look at `con.authorized`. Default:
   * true.
   */
  rejectUnauthorized?: boolean | undefined
  /**
   * Application protocols, the most wanted first. With 'tcp-stream-muxer/1' both ends speak QMux from the first byte;
   * otherwise `protocol` decides, as in the clear. Default: ['tcp-stream-muxer/1'], with `protocol: 'legacy'` none.
   */
  ALPNProtocols?: readonly string[] | undefined
  /** The oldest version to speak. Default: 'TLSv1.2'. */
  minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined
  /** The newest version to speak. Default: 'TLSv1.3'. */
  maxVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined
  /** Resumes earlier sessions. Default: true. */
  sessionResumption?: boolean | undefined
  /** Emits 'keylog' with the secrets of each connection. Default: false. */
  keylog?: boolean | undefined
}

/** A private key that is encrypted by itself. */
export interface TlsKey {
  pem: Pem
  passphrase?: string | undefined
}

export interface ClientTlsOptions extends TlsOptions {
  /** The name that the server's certificate must have, and that the server is told. No address. Default: `host`. */
  servername?: string | undefined
  /**
   * Compares the server's name with its certificate, which is verified already. Returns an Error if they do not fit;
   * what it throws counts as that.
   */
  checkServerIdentity?: ((servername: string, certificate: PeerCertificate) => Error | undefined) | undefined
}

export interface ServerContextOptions extends TlsOptions {
  cert: Pem | readonly Pem[]
  key: Pem | TlsKey | ReadonlyArray<Pem | TlsKey>
  /** Asks each client for a certificate of an authority in `ca`: mutual TLS. Default: false. */
  requestCert?: boolean | undefined
}

export interface ServerTlsOptions extends ServerContextOptions {
  /** Chooses the options of a connection by the name that its client asks for; null chooses these here. */
  SNICallback?: ((this: MuxServer, servername: string,
    callback: (error: Error | null, options?: Partial<ServerContextOptions> | null) => void) => void) | undefined
}

/** Lets a connection in, or refuses it. On QMux the peer is told `code` and `reason`, as by `con.close()`. */
export type VerifyCallback = (allowed: boolean, code?: number, reason?: string) => void

export interface MuxServerOptions extends ConnectionOptions {
  /** 0 to 65535, also as a string; 0 lets the system choose. Default: 0. */
  port?: number | string | undefined
  /** Address or name to listen on. Default: the unspecified one, `::` where there is IPv6, `0.0.0.0` elsewhere. */
  host?: string | undefined
  /** Path of a unix socket; then `port` and `host` are ignored. With an http.Server: the path of the upgrade. */
  path?: string | undefined
  /** Descriptor of a socket that is bound already; then `port`, `host` and `path` are ignored. */
  fd?: number | undefined
  /** Does not share the port with the other workers of a cluster. Default: false. */
  exclusive?: boolean | undefined
  /** Listens to nothing: connections come by accept(). Default: false. */
  noServer?: boolean | undefined
  /**
   * Another server, which listens for this one: 'connection' of a net.Server, 'secureConnection' of a tls.Server, and
   * requests with `Upgrade: tcp-stream-muxer` of an http.Server or https.Server, whose path `path` may name.
   */
  server?: Server | undefined
  /** Takes sockets of net's that are handed in over from Node, where that is possible. Default: true. */
  takeOver?: boolean | undefined
  /** Connections the system queues before they are accepted. Default: 511. */
  backlog?: number | undefined
  /** Accepts no IPv4 on the address `::`. Default: false. */
  ipv6Only?: boolean | undefined
  /** Shares the port with other processes and threads that set it (Linux). Default: false. */
  reusePort?: boolean | undefined
  /** Lets all users read from the unix socket. Default: false. */
  readableAll?: boolean | undefined
  /** Lets all users write to the unix socket. Default: false. */
  writableAll?: boolean | undefined
  /**
   * Connections that may be open at once. Further connections are closed at once, and reported by 'drop'. Default:
   * Infinity.
   */
  maxConnections?: number | undefined
  /**
   * Connections that may be open at once from one IPv4 address, or from one IPv6 network (/64). Further connections are
   * closed at once, and reported by 'drop'. Default: Infinity.
   */
  maxConnectionsPerAddress?: number | undefined
  /** Addresses whose connections are closed at once, without an event, as in net. */
  blockList?: BlockList | undefined
  /**
   * Peers that are trusted to say for whom they connect, by a header of the PROXY protocol (versions 1 and 2): addresses,
   * networks such as '10.0.0.0/8', or 'unix:'. The header is required from these, and never looked for from others.
   */
  proxyProtocol?: { trusted: readonly string[] } | undefined
  /**
   * Decides whether a connection may come in, before 'connection'; nothing is read of it meanwhile. With `tls` it is
   * called when the handshake is done. `true`, returned or as
   * the value of a promise, lets it in. Any other value, an exception and a rejection refuse it, and so does
   * `handshakeTimeout`. A function of two parameters that returns nothing calls `callback` instead.
   */
  verifyConnection?: ((this: MuxServer, info: ConnectionInfo, callback: VerifyCallback) =>
    boolean | PromiseLike<boolean> | void) | undefined
  /** Encrypts all connections. Default: none is encrypted. */
  tls?: ServerTlsOptions | false | undefined
  /** An abort closes the server. */
  signal?: AbortSignal | undefined
}

export interface MuxClientOptions extends ConnectionOptions {
  /** Goes over this stream of bytes in place of a socket of its own. */
  socket?: Duplex | undefined
  /** Takes a `socket` of net's over from Node, where that is possible. Default: true. */
  takeOver?: boolean | undefined
  /** 0 to 65535, also as a string. Required unless `path` is given. */
  port?: number | string | undefined
  /** Address or name to connect to. Default: 'localhost'. */
  host?: string | undefined
  /** Path of a unix socket; then `port` and `host` are ignored. */
  path?: string | undefined
  /** Family of the addresses to look up; 0 is both. Default: 0. */
  family?: 0 | 4 | 6 | 'IPv4' | 'IPv6' | undefined
  /** Flags for dns.lookup(). Default: dns.ADDRCONFIG where both families are looked up, else 0. */
  hints?: number | undefined
  /** Replaces dns.lookup(). */
  lookup?: LookupFunction | undefined
  /** Local address to connect from; turns `autoSelectFamily` off. */
  localAddress?: string | undefined
  /** Local port to connect from. */
  localPort?: number | undefined
  /** Tries all addresses of a name, the families in turn. Default: net.getDefaultAutoSelectFamily(). */
  autoSelectFamily?: boolean | undefined
  /** Milliseconds that an address may take before the next is tried, at least 10. Default: as net has it. */
  autoSelectFamilyAttemptTimeout?: number | undefined
  /** Encrypts the connection; true has the defaults. Default: false. */
  tls?: ClientTlsOptions | boolean | undefined
  /** An abort destroys the client with an AbortError. */
  signal?: AbortSignal | undefined
}

/** How streams share a connection, in the words of RFC 9218. The legacy wire has no priorities. */
export interface Priority {
  /** 0 to 7: streams of lower urgency are sent first. Default: 3. */
  urgency?: number | undefined
  /** Whether streams of the same urgency are sent in turns, or one after the other. Default: true. */
  incremental?: boolean | undefined
}

export interface CreateStreamOptions {
  /** Keeps the chunks of different writes apart on the readable side, where the wire has one. Default: true. */
  messages?: boolean | undefined
  /** How urgent what this end sends on the stream is. */
  priority?: Priority | undefined
  /** An abort cancels the wait for the stream, and destroys the stream with an AbortError once it is open. */
  signal?: AbortSignal | undefined
}

/** The counts that connection.stats() returns: of one connection, since it was made. */
export interface ConnectionStats {
  /** Bytes received, framing included. */
  bytesRead: number
  /** Bytes sent or queued, framing included. */
  bytesWritten: number
  /** Bytes queued: not yet taken by the system. */
  queuedBytes: number
  /** Streams opened at this end. */
  streamsOpened: number
  /** Streams opened by the peer. */
  streamsAccepted: number
  /** Streams that live, of both ends. */
  streamsLive: number
  /** Streams whose data was dropped because nobody read it. */
  discardedStreams: number
  /** Bytes of those streams that were dropped. */
  discardedBytes: number
  /** The kind of peer; 'foreign': speaks QMux, and is not this package. */
  peer: 'old' | 'new' | 'undecided' | 'foreign'
  /** The wire in use. */
  protocol: 'legacy' | 'qmux'
}

/**
 * One stream of a connection. On QMux both ends write and read. On the legacy wire the creator writes and the other
 * side reads; the half that an end does not have counts as finished, though `readable` and `writable` are true while
 * the stream lives. `Meta` is the type of the stream's meta. On an accepted stream only the program can check that
 * type.
 */
export class MuxStream<Meta = any> extends Duplex {
  private constructor ()
  /**
   * The id on the wire. On QMux the id is never used again; on the legacy wire it is 0 to 255, and used again after
   * the stream's end.
   */
  readonly id: number
  /** The meta that createStream() was given; undefined on a stream of a foreign peer. */
  readonly meta: Meta

  /**
   * Sends one message. Bytes are copied before the call returns. Anything else goes as its JSON text, and so does a
   * string, unless an encoding is given. Returns false if the caller should wait for 'drain'. The callback is called
   * when the system took the bytes, or with the error that came first. Throws ERR_MUX_INVALID_VALUE for a value that
   * has no JSON form, or of which JSON would keep nothing (a Map, an Error, a Blob, …). On the legacy wire, throws
   * ERR_MUX_NOT_WRITABLE on a stream that the peer created.
   */
  write (value: Sendable, callback?: (error?: Error | null) => void): boolean
  write (value: Sendable, encoding?: BufferEncoding, callback?: (error?: Error | null) => void): boolean

  /**
   * Ends the writing half. Bytes are sent as data before; any other value arrives as the argument of the other side's
   * 'end', a Buffer of its JSON text. On a stream of the legacy wire that the peer created, the call sends nothing.
   */
  end (callback?: () => void): this
  end (value: Sendable | undefined, callback?: () => void): this
  end (value: Sendable | undefined, encoding?: BufferEncoding, callback?: () => void): this

  /** Sends strings as themselves, in this encoding, instead of as JSON. */
  setDefaultEncoding (encoding: BufferEncoding): this

  /**
   * Gives the writing half up: data that is written and not sent yet is dropped, and the peer's stream fails with
   * ERR_MUX_STREAM_RESET and this code, 0 to 2^53 - 1. The reading half goes on. On the legacy wire it is an end.
   */
  reset (code?: number): this
  /**
   * Wants nothing more of what the peer sends, and tells the peer so with this code, 0 to 2^53 - 1. Buffered data is
   * dropped, and 'end' follows. The writing half goes on. On the legacy wire the peer learns it without the code.
   */
  stopSending (code?: number): this
  /**
   * Does not accept the stream: its creator's createStream() fails with ERR_MUX_STREAM_REFUSED and this code. Throws
   * ERR_MUX_ALREADY_ACCEPTED once the stream was used. If the stream is acknowledged by then, its creator's stream is
   * reset. On the legacy wire the stream is accepted and discarded.
   */
  refuse (code?: number): this
  /** Says how urgent the data that this end sends is; a field that is left out has its default. */
  setPriority (priority: Priority): this

  /**
   * Emits 'timeout' after so many milliseconds without a write or anything from the peer; 0 switches the timer off.
   * The stream stays open.
   */
  setTimeout (milliseconds: number, callback?: () => void): this
  /** Milliseconds set by setTimeout(); 0 when off. */
  readonly timeout: number
  /** Does nothing, as the next three: the connection is shared, and has methods of these names. */
  setNoDelay (noDelay?: boolean): this
  setKeepAlive (enable?: boolean, initialDelay?: number): this
  ref (): this
  unref (): this

  /** 'stopSending': the peer wants no more of what this end sends. With a listener only the writing half ends. */
  on (event: 'stopSending', listener: (code: number) => void): this
  /** 'data': a Buffer; a string after setEncoding(); the value of a JSON data frame, which no known peer sends. */
  on (event: 'data', listener: (chunk: any) => void): this
  /** 'end': with a Buffer of the JSON text if the peer called end(value), else without an argument. */
  on (event: 'end', listener: (value?: Buffer) => void): this
  on (event: 'error', listener: (error: Error) => void): this
  on (event: 'close' | 'drain' | 'finish' | 'pause' | 'readable' | 'resume' | 'timeout', listener: () => void): this
  on (event: string | symbol, listener: (...args: any[]) => void): this
  once (event: 'stopSending', listener: (code: number) => void): this
  once (event: 'data', listener: (chunk: any) => void): this
  once (event: 'end', listener: (value?: Buffer) => void): this
  once (event: 'error', listener: (error: Error) => void): this
  once (event: 'close' | 'drain' | 'finish' | 'pause' | 'readable' | 'resume' | 'timeout', listener: () => void): this
  once (event: string | symbol, listener: (...args: any[]) => void): this
}

/** Where the streams of one connection come from. */
export interface StreamPool {
  /**
   * Opens a stream. `meta` is any JSON value and becomes `stream.meta` on the other side; its text may have 4 MiB.
   * With a callback, returns nothing. The callback is called, with the stream as `this` too, once the other side has
   * acknowledged. Without an acknowledgement the callback is never called, and the connection emits 'streamFailed'.
   * In either form, throws ERR_MUX_STREAM_LIMIT if `maxStreams` live, and ERR_MUX_INVALID_VALUE for a meta that has
   * no JSON form. The peer limits how many streams it accepts; the call waits until the peer allows another one, and
   * does not throw.
   */
  createStream<Meta extends JsonValue> (
    meta: Meta, callback: (this: MuxStream<Meta>, stream: MuxStream<Meta>) => void
  ): void
  createStream<Meta extends JsonValue> (
    meta: Meta, options: CreateStreamOptions | undefined,
    callback: (this: MuxStream<Meta>, stream: MuxStream<Meta>) => void
  ): void
  /**
   * Without a callback, returns a Promise. A Promise that is ignored never becomes an unhandled rejection; one that
   * is awaited rejects with the reason why the stream did not open.
   */
  createStream<Meta extends JsonValue> (meta: Meta, options?: CreateStreamOptions): Promise<MuxStream<Meta>>
  /** The live streams of both ends by their ids: a new object each time. */
  readonly streams: Record<number, MuxStream>
}

/** A connection: a net.Socket in version 0.1.0, here without its bytes. Addresses stay readable after 'close'. */
export class Connection extends EventEmitter {
  private constructor ()
  readonly StreamPool: StreamPool
  /** The wire in use: 'qmux' once both directions have moved to it. */
  readonly protocol: 'legacy' | 'qmux'
  readonly connecting: boolean
  readonly pending: boolean
  readonly destroyed: boolean
  readonly readyState: 'opening' | 'open' | 'readOnly' | 'closed'
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  readonly remoteFamily: string | undefined
  readonly localAddress: string | undefined
  readonly localPort: number | undefined
  readonly localFamily: string | undefined
  /** Bytes received on the connection itself, framing and encryption included. */
  readonly bytesRead: number
  /** Bytes sent or queued on the connection itself, framing and encryption included. */
  readonly bytesWritten: number
  /** Milliseconds set by setTimeout(); 0 when off. */
  readonly timeout: number
  /** The code that the peer gave close(), 0 too; undefined while, or if, the peer told nothing. */
  readonly closeCode: number | undefined
  /** The reason that came with the code; '' if there was none. */
  readonly closeReason: string | undefined
  /** Whether the connection speaks TLS. */
  readonly encrypted: boolean
  /** Whether the peer has shown a certificate, and it was verified. */
  readonly authorized: boolean
  /** The code of what is wrong with the peer's certificate, if `rejectUnauthorized: false` allowed it; else null. */
  readonly authorizationError: string | null
  /** The application protocol that both ends agreed on; false if none, or in the clear. */
  readonly alpnProtocol: string | false
  /** The server's name, as the client asked for it; false if it asked for none or for an address, or in the clear. */
  readonly servername: string | false

  /**
   * Returns the peer's certificate: {} if it has shown none, null in the clear. With `detailed`, issuerCertificate is the
   * next one that the peer has sent.
   */
  getPeerCertificate (detailed: true): PeerCertificate & { issuerCertificate?: DetailedPeerCertificate } | null
  getPeerCertificate (detailed?: boolean): PeerCertificate | null
  /** Returns the peer's certificate; undefined if there is none. */
  getPeerX509Certificate (): X509Certificate | undefined
  /** Returns the version of TLS; null in the clear. */
  getProtocol (): 'TLSv1.2' | 'TLSv1.3' | null
  /** Returns the cipher suite, by the names of OpenSSL and IANA; {} in the clear. */
  getCipher (): { name: string, standardName: string, version: string } | Record<string, never>
  /** Returns whether the handshake has resumed an earlier session. */
  isSessionReused (): boolean
  /** Returns the local address; empty before the connect. */
  address (): AddressInfo | {}
  stats (): ConnectionStats
  /** Half-closes: everything queued is sent first. The callback is called at 'finish'. */
  end (callback?: () => void): this
  /** Closes at once. With an error 'error' is emitted, and 'close' says true. */
  destroy (error?: Error): this
  /** Destroys the connection, and the peer sees a reset. */
  resetAndDestroy (): this
  /**
   * Closes at once and tells the peer why: a code from 0 to 2^53 - 1, and at most 1,024 bytes of text. A code other
   * than 0 is an error there, ERR_MUX_CLOSED_BY_PEER. On the legacy wire a call is end() and destroy().
   */
  close (code?: number, reason?: string): this
  /**
   * Returns the round trip to the peer in milliseconds. A ping overtakes queued data. Rejects with
   * ERR_MUX_NOT_SUPPORTED on the legacy wire, and with the error that ended the connection.
   */
  ping (): Promise<number>
  /**
   * Serves no more streams of the peer's. Streams that the peer has opened go on. The legacy wire has no way to tell
   * the peer.
   */
  goaway (): this
  /**
   * QMux: lets the peer send so many bytes ahead of what is consumed, on all streams together, in place of
   * `maxConnectionWindow`. 1 to 2^31 - 1; less than `connectionWindow` counts as that.
   */
  setLocalWindowSize (windowSize: number): this
  /** Stops reading the socket. */
  pause (): this
  resume (): this
  isPaused (): boolean
  /** Default: true. */
  setNoDelay (noDelay?: boolean): this
  /** @param initialDelay milliseconds before the first probe; default 0, the system's own */
  setKeepAlive (enable?: boolean, initialDelay?: number): this
  /**
   * Emits 'timeout' after so many milliseconds without traffic; 0 switches the timer off. The connection stays open.
   */
  setTimeout (milliseconds: number, callback?: () => void): this
  /** Lets the open connection keep the process alive, as it does by default. */
  ref (): this
  /** Lets the process exit while the connection is open; queued data is sent before. */
  unref (): this
  /** Always throws ERR_MUX_RAW_WRITE: raw bytes would corrupt the framing. */
  write (...args: any[]): never

  /** 'stream': the peer opened a stream. */
  on<Meta = any> (event: 'stream', listener: (stream: MuxStream<Meta>) => void): this
  /** 'streamRefused': the peer refused a stream that this end created with this meta. */
  on (event: 'streamRefused', listener: (meta: any, code: number) => void): this
  /** 'streamFailed': a stream for a callback, created with this meta, did not open. */
  on (event: 'streamFailed', listener: (error: Error, meta: any) => void): this
  /** 'goaway': the peer serves no new streams. */
  on (event: 'goaway', listener: () => void): this
  /** 'end': the peer half-closed; with `allowHalfOpen: false` this end half-closes, too. */
  on (event: 'end' | 'finish' | 'timeout', listener: () => void): this
  on (event: 'close', listener: (hadError: boolean) => void): this
  on (event: 'error', listener: (error: Error) => void): this
  on (event: string | symbol, listener: (...args: any[]) => void): this
  once<Meta = any> (event: 'stream', listener: (stream: MuxStream<Meta>) => void): this
  once (event: 'streamRefused', listener: (meta: any, code: number) => void): this
  once (event: 'streamFailed', listener: (error: Error, meta: any) => void): this
  once (event: 'goaway', listener: () => void): this
  once (event: 'end' | 'finish' | 'timeout', listener: () => void): this
  once (event: 'close', listener: (hadError: boolean) => void): this
  once (event: 'error', listener: (error: Error) => void): this
  once (event: string | symbol, listener: (...args: any[]) => void): this
}

/** A server that listens from construction on. */
export class MuxServer extends EventEmitter {
  /** Listens on a port (0 to 65535, also as a string), at `host` or on every address. */
  constructor (port?: number | string, host?: string)
  /** Listens on the path of a unix socket. */
  constructor (path: string)
  constructor (options: MuxServerOptions)
  readonly listening: boolean
  /** Connections that may be open at once; further connections are closed at once. Default: Infinity. */
  maxConnections: number
  /** Connections that may be open at once from one address; further connections are closed at once. Default: Infinity. */
  maxConnectionsPerAddress: number
  /** Addresses whose connections are closed at once. */
  blockList: BlockList | undefined
  /** As in net.Server: returns the address, the path of a unix socket, or null while the server does not listen. */
  address (): AddressInfo | string | null
  /** Stops accepting. 'close', and the callback, come when the last connection has ended. */
  close (callback?: (error?: Error) => void): this
  /** Makes a connection over any Duplex of bytes. 'connection' follows, if the server lets it in. */
  accept (duplex: Duplex): Connection
  /** Destroys the open connections. The server goes on listening. */
  closeAllConnections (): this
  /**
   * Takes other certificates, keys and authorities for the connections that are accepted from now on. The options
   * replace all that `tls` said. Throws ERR_MUX_NOT_SECURE on a server without `tls`.
   */
  setSecureContext (options: ServerContextOptions): this
  /**
   * Takes options of TLS for the clients that ask for this name, in which a star stands for one label. What is left out
   * is taken over from `tls`.
   */
  addContext (hostname: string, options: Partial<ServerContextOptions>): this
  getConnections (callback: (error: Error | null, count: number) => void): this
  /** Lets the listening server keep the process alive, as it does by default. */
  ref (): this
  unref (): this
  [Symbol.asyncDispose] (): Promise<void>

  on (event: 'connection', listener: (connection: Connection) => void): this
  on (event: 'listening' | 'close', listener: () => void): this
  /** 'error': listening failed, or a connection could not be accepted. */
  on (event: 'error', listener: (error: Error) => void): this
  /** 'connectionError': an accepted connection without an 'error' listener of its own failed. */
  on (event: 'connectionError', listener: (error: Error, connection: Connection) => void): this
  /** 'drop': a connection was not let in. The error says why. */
  on (event: 'drop', listener: (data: DropArgument, error: Error & { code: string }) => void): this
  /** 'tlsClientError': a handshake failed, or a client does not speak TLS. There is no 'connection' for it. */
  on (event: 'tlsClientError', listener: (error: Error & { code?: string }, info: DropArgument) => void): this
  /** 'keylog': a secret of a connection, as a line of NSS's key log with its end. */
  on (event: 'keylog', listener: (line: Buffer) => void): this
  on (event: string | symbol, listener: (...args: any[]) => void): this
  once (event: 'connection', listener: (connection: Connection) => void): this
  once (event: 'listening' | 'close', listener: () => void): this
  once (event: 'error', listener: (error: Error) => void): this
  once (event: 'connectionError', listener: (error: Error, connection: Connection) => void): this
  once (event: 'drop', listener: (data: DropArgument, error: Error & { code: string }) => void): this
  once (event: 'tlsClientError', listener: (error: Error & { code?: string }, info: DropArgument) => void): this
  once (event: 'keylog', listener: (line: Buffer) => void): this
  once (event: string | symbol, listener: (...args: any[]) => void): this
}

/** A client that connects from construction on. */
export class MuxClient extends EventEmitter {
  /** Connects to a port at 'localhost'. The callback is called once connected. */
  constructor (port: number | string, callback?: () => void)
  constructor (port: number | string, host?: string, callback?: () => void)
  /** Connects to the path of a unix socket. */
  constructor (path: string, callback?: () => void)
  constructor (options: MuxClientOptions, callback?: () => void)
  /** undefined before 'connect'. */
  readonly connection: Connection | undefined
  /** There from construction on: streams that are created before the connect are opened after it. */
  readonly StreamPool: StreamPool
  readonly destroyed: boolean
  /** Half-closes: everything queued is sent first. */
  end (callback?: () => void): this
  /** Closes at once. */
  destroy (error?: Error): this
  /** As con.close(); before the connect, gives the connect up. */
  close (code?: number, reason?: string): this
  /** As con.goaway(); before the connect, takes effect from the connect on. */
  goaway (): this
  /** As con.setLocalWindowSize(); before the connect, takes effect from the connect on. */
  setLocalWindowSize (windowSize: number): this
  /** As con.ping(); a ping before the connect waits for the connect. */
  ping (): Promise<number>
  /** As con.stats(); before the connect the counts are 0. */
  stats (): ConnectionStats
  /** As con.setTimeout(); the time of the connect counts, too. */
  setTimeout (milliseconds: number, callback?: () => void): this
  ref (): this
  unref (): this

  on (event: 'connect' | 'goaway' | 'timeout', listener: () => void): this
  /** 'keylog': a secret of the connection, as a line of NSS's key log with its end. */
  on (event: 'keylog', listener: (line: Buffer) => void): this
  /** 'streamFailed': a stream for a callback, created with this meta, did not open. */
  on (event: 'streamFailed', listener: (error: Error, meta: any) => void): this
  on (event: 'streamRefused', listener: (meta: any, code: number) => void): this
  on<Meta = any> (event: 'stream', listener: (stream: MuxStream<Meta>) => void): this
  /**
   * 'error': the look-up, the connect or the connection failed. The error is thrown if nobody listens here or on
   * `connection`.
   */
  on (event: 'error', listener: (error: Error) => void): this
  on (event: 'close', listener: (hadError: boolean) => void): this
  on (event: string | symbol, listener: (...args: any[]) => void): this
  once (event: 'connect' | 'goaway' | 'timeout', listener: () => void): this
  once (event: 'keylog', listener: (line: Buffer) => void): this
  once (event: 'streamFailed', listener: (error: Error, meta: any) => void): this
  once (event: 'streamRefused', listener: (meta: any, code: number) => void): this
  once<Meta = any> (event: 'stream', listener: (stream: MuxStream<Meta>) => void): this
  once (event: 'error', listener: (error: Error) => void): this
  once (event: 'close', listener: (hadError: boolean) => void): this
  once (event: string | symbol, listener: (...args: any[]) => void): this
}

/** A peer broke the protocol, or closed with an error code. Its connection has ended, and nothing else. */
export class MuxProtocolError extends Error {
  private constructor ()
  /** ERR_MUX_FRAME_LENGTH, ERR_MUX_UNKNOWN_STREAM, …: docs/PROTOCOL.md lists them. */
  readonly code: string
  readonly origin: 'peer'
  /** With ERR_MUX_CLOSED_BY_PEER: the code that the peer closed the connection with. */
  readonly closeCode?: number
  /** With ERR_MUX_CLOSED_BY_PEER: the reason that the peer gave; '' if none. */
  readonly closeReason?: string
  /** With ERR_MUX_CLOSED_BY_PEER: whether the code is one of the peer's application, and not one of QUIC's. */
  readonly application?: boolean
}

/** The reason why one stream ended, or did not open; the connection goes on. */
export interface MuxStreamError extends Error {
  readonly code: 'ERR_MUX_STREAM_RESET' | 'ERR_MUX_STREAM_STOPPED' | 'ERR_MUX_STREAM_REFUSED' | 'ERR_MUX_GOAWAY'
  /** Set with ERR_MUX_STREAM_RESET. */
  readonly resetCode?: number
  /** Set with ERR_MUX_STREAM_STOPPED. */
  readonly stopCode?: number
  /** Set with ERR_MUX_STREAM_REFUSED. */
  readonly refuseCode?: number
}

export const util: {
  /**
   * Pipes a file into a stream, and ends the stream at the end of the file. If the file cannot be read, the stream is
   * destroyed with that error. Returns the file's stream, which is destroyed with the other stream.
   */
  sendFile (path: string, stream: MuxStream): ReadStream
  /**
   * Pipes a stream into a file. If the file cannot be written, the stream is destroyed with that error. Returns the
   * file's stream: 'finish' when everything is written; destroyed if the stream is cut off.
   */
  receiveFile (path: string, stream: MuxStream): WriteStream
}
