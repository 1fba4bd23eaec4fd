/**
 * A server that answers like a hub of models, over https or http, and misbehaves on demand: files under their paths,
 * ranges, entity tags, redirects. Each request is noted. Names that end in `.test` lead to it through `rules`, so that
 * a test has as many origins as it needs.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as httpServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer as httpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeCertificate } from './certificates.ts'
import type { PullOptions } from '../src/hub/pull.ts'
import { notPublic } from '../src/hub/public-address.ts'
import { verit as run } from './cli.ts'

export const COMMIT = '0123456789abcdef0123456789abcdef01234567'
export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

const authority = makeCertificate({ subject: 'hub test authority', purpose: 'ca' })
const leaf = makeCertificate({
  subject: 'hub',
  issuer: authority,
  purpose: 'server',
  names: ['hub.test', 'cdn.test', 'other.test', 'localhost', '127.0.0.1', '127.0.0.2']
})

export type Misbehave = (request: IncomingMessage, response: ServerResponse, behave: () => void) => void

export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly host: string
  readonly headers: IncomingMessage['headers']
}

export class HubServer {
  readonly files = new Map<string, Buffer>()
  /** Requests as they came, but for those for signatures. */
  readonly seen: SeenRequest[] = []
  /** Requests for signatures (.sig), which follow every pull. */
  readonly seenSignatures: SeenRequest[] = []
  /** Called in place of the usual answer; not for signatures. */
  misbehave: Misbehave | undefined
  misbehaveForSignatures: Misbehave | undefined
  /** Large files by their SHA-256, hexadecimal. */
  readonly objects = new Map<string, Buffer>()
  /** Commits that were pushed: what their lines say. */
  readonly commits: { key: string; value: Record<string, unknown> }[][] = []
  /** What it takes to write. */
  token = 'hf_write'
  /** Name of the host to which large files are to go. */
  uploadHost = 'cdn.test'
  #server: Server
  #secure: boolean

  private constructor(secure: boolean) {
    const answer = (request: IncomingMessage, response: ServerResponse): void => this.#answer(request, response)
    this.#secure = secure
    this.#server = secure ? httpsServer({ cert: leaf.cert, key: leaf.key }, answer) : httpServer(answer)
  }

  static async start({ secure = true, address = '127.0.0.1' } = {}): Promise<HubServer> {
    const hub = new HubServer(secure)
    hub.#server.listen(0, address)
    await once(hub.#server, 'listening')
    return hub
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  origin(host = 'hub.test'): string {
    return `${this.#secure ? 'https' : 'http'}://${host}:${this.port}`
  }

  /** Puts a file where hf:OWNER/REPO/FILE is looked for, for the branch main and the commit. */
  put(file: string, bytes: Buffer): void {
    for (const revision of ['main', COMMIT]) this.files.set(`/owner/repo/resolve/${revision}/${file}`, bytes)
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const signature = request.url!.endsWith('.sig')
    const seen = signature ? this.seenSignatures : this.seen
    seen.push({
      method: request.method!,
      path: request.url!,
      host: request.headers.host ?? '',
      headers: request.headers
    })
    response.on('error', () => undefined)
    const behave = (): void => this.#behave(request, response)
    const misbehave = signature ? this.misbehaveForSignatures : this.misbehave
    if (misbehave === undefined) behave()
    else misbehave(request, response, behave)
  }

  /** What a hub answers to a push of `owner/repo`: preupload, Git LFS, commit; and PUT of files below /put/. */
  #take(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
    const path = new URL(request.url!, 'http://x').pathname
    const answer = (value: unknown, status = 200): void =>
      void response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))
    if (request.method === 'PUT' && path.startsWith('/lfs/')) {
      if (sha256(body) !== path.slice(5)) return answer({ error: 'another content' }, 400)
      this.objects.set(sha256(body), body)
      return void response
        .writeHead(200, { 'x-amz-checksum-sha256': Buffer.from(sha256(body), 'hex').toString('base64') })
        .end()
    }
    if (request.headers.authorization !== `Bearer ${this.token}`) return answer({ error: 'no permission' }, 401)
    if (request.method === 'PUT' && path.startsWith('/put/')) {
      this.files.set(path, body)
      return void response.writeHead(201).end()
    }
    const host = request.headers.host!.replace(/:\d+$/, '')
    const json = (text: string) => JSON.parse(text) as Record<string, any>
    if (path === '/api/models/owner/repo/preupload/main') {
      const one = ({ path: file, size }: { path: string; size: number }): unknown => {
        const there = this.files.get(`/owner/repo/resolve/main/${file}`)
        const oid =
          there &&
          (there.length > 1000
            ? sha256(there)
            : createHash('sha1').update(`blob ${there.length}\0`).update(there).digest('hex'))
        return {
          path: file,
          uploadMode: size > 1000 ? 'lfs' : 'regular',
          shouldIgnore: false,
          ...(oid !== undefined && { oid })
        }
      }
      return answer({ files: json(body.toString())['files'].map(one) })
    }
    if (path === '/owner/repo.git/info/lfs/objects/batch') {
      const actions = (oid: string) => ({
        upload: { href: `${this.origin(this.uploadHost)}/lfs/${oid}?signature=secret`, header: { 'x-amz-meta': '1' } },
        verify: { href: `${this.origin(host)}/lfs/verify` }
      })
      const objects = json(body.toString())['objects'].map(({ oid, size }: { oid: string; size: number }) => ({
        oid,
        size,
        ...(!this.objects.has(oid) && { actions: actions(oid) })
      }))
      return answer({ transfer: 'basic', objects })
    }
    if (path === '/lfs/verify')
      return answer(
        {},
        this.objects.get(json(body.toString())['oid'])?.length === json(body.toString())['size'] ? 200 : 404
      )
    if (path !== '/api/models/owner/repo/commit/main') return answer({ error: 'no such repository' }, 404)
    const lines = body
      .toString()
      .trimEnd()
      .split('\n')
      .map(l => json(l) as { key: string; value: Record<string, any> })
    const commit = sha256(body).slice(0, 40)
    for (const { key, value } of lines) {
      const bytes = key === 'lfsFile' ? this.objects.get(value['oid']) : Buffer.from(String(value['content']), 'base64')
      if (key === 'header') continue
      if (bytes === undefined) return answer({ error: 'LFS object is missing' }, 400)
      for (const revision of ['main', COMMIT, commit])
        this.files.set(`/owner/repo/resolve/${revision}/${value['path']}`, bytes)
    }
    this.commits.push(lines)
    answer({
      success: true,
      commitOid: commit,
      commitUrl: `${this.origin()}/owner/repo/commit/${commit}`,
      hookOutput: ''
    })
  }

  /** Like a hub: the commit, a strong tag, ranges. */
  #behave(request: IncomingMessage, response: ServerResponse): void {
    if (request.method !== 'GET') {
      const body: Buffer[] = []
      return void request
        .on('data', (d: Buffer) => void body.push(d))
        .on('end', () => this.#take(request, response, Buffer.concat(body)))
        .on('error', () => undefined)
    }
    const bytes = this.files.get(request.url!)
    response.setHeader('X-Repo-Commit', COMMIT)
    if (bytes === undefined) return void response.writeHead(404).end()
    if (this.objects.has(sha256(bytes))) response.setHeader('X-Linked-Etag', `"${sha256(bytes)}"`)
    const etag = `"${sha256(bytes)}"`
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    if (from > 0 && request.headers['if-range'] === etag) {
      if (from >= bytes.length)
        return void response.writeHead(416, { 'Content-Range': `bytes */${bytes.length}` }).end()
      const headers = {
        'Content-Length': bytes.length - from,
        'Content-Range': `bytes ${from}-${bytes.length - 1}/${bytes.length}`,
        ETag: etag
      }
      return void response.writeHead(206, headers).end(bytes.subarray(from))
    }
    response.writeHead(200, { 'Content-Length': bytes.length, ETag: etag }).end(bytes)
  }
}

/** Addresses of the names in tests. 127.0.0.1 passes for a public address; every other one is judged as always. */
export const names: Readonly<Record<string, readonly string[]>> = {
  'hub.test': ['127.0.0.1'],
  'cdn.test': ['127.0.0.1'],
  'other.test': ['127.0.0.1'],
  'inside.test': ['127.0.0.2'],
  'both.test': ['127.0.0.1', '10.0.0.1']
}
export const rules = {
  ca: authority.cert,
  retryMs: 1,
  connectMs: 5000,
  idleMs: 5000,
  resolve: async (host: string) => names[host] ?? [],
  judgeAddress: (address: string) => (address === '127.0.0.1' ? undefined : notPublic(address))
} satisfies Partial<PullOptions>

/** A folder of its own for the store and the lock file of a test. */
export class Place implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'verit-hub-'))
  readonly models = join(this.folder, 'models')
  readonly lock = join(this.folder, 'verit.lock')

  options(hub: HubServer, more: Partial<PullOptions> = {}): PullOptions {
    return { allowPrivate: false, models: this.models, lock: this.lock, endpoint: hub.origin(), ...rules, ...more }
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Runs `verit` in the folder of the test, with the server as its hub. */
export async function verit(
  place: Place,
  hub: HubServer,
  more: Record<string, string>,
  ...args: string[]
): Promise<{ status: number; out: string; err: string }> {
  const env = {
    VERIT_MODELS: place.models,
    HF_ENDPOINT: hub.origin('127.0.0.1'),
    HF_TOKEN_FILE: '',
    HF_TOKEN: '',
    ...more
  }
  const { status, stdout: out, stderr: err } = await run(args, { env, cwd: place.folder })
  return { status, out, err }
}
