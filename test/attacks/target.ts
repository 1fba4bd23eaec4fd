/**
 * A server to attack: a real `verit serve` with a tiny model, raw sockets to it, and what is asked after every attack:
 * does it still answer, how much memory has it taken, how many connections are open, how many generations run, how many
 * entries has its log.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stringify } from 'smol-toml'
import type { NewKey, NewKeyOptions } from '../../src/store/key-store.ts'
import { openStore } from '../../src/store/open-store.ts'
import type { Store } from '../../src/store/store.ts'
import { served, tinyModel } from '../served.ts'
import type { Served } from '../served.ts'

/** Sections of a configuration file. */
export type Sections = Record<string, Record<string, unknown>>

/** No rate stands in the way of an attack, and no connection lasts long. */
const OPEN: Sections = {
  http: {
    connections_per_address: 4096,
    connections: 4096,
    header_seconds: 1,
    request_seconds: 2,
    idle_seconds: 1,
    slow_reader_seconds: 1
  },
  keys: { requests_per_minute: 0, streams: 10_000 },
  addresses: { requests_per_minute: 0, streams: 100_000 }
}

export interface Answer {
  /** Status of each answer that came, in order; 1xx included. */
  statuses: number[]
  text: string
  /** Whether the server ended the connection. */
  closed: boolean
}

export class Target {
  readonly dir: string
  readonly state: string
  readonly model: string
  readonly store: Store
  server: Served
  /** A key with every scope. */
  readonly all: NewKey & { key: string }
  #sections: Sections

  private constructor(
    dir: string,
    model: string,
    store: Store,
    server: Served,
    all: NewKey & { key: string },
    sections: Sections
  ) {
    this.dir = dir
    this.state = join(dir, 'state')
    this.model = model
    this.store = store
    this.server = server
    this.all = all
    this.#sections = sections
  }

  /**
   * @param sections settings, in place of those of OPEN @param context positions of the model: how long an answer can
   * go on @param databaseUrl PostgreSQL in place of SQLite
   */
  static async start(sections: Sections = {}, context = 512, databaseUrl = ''): Promise<Target> {
    const dir = mkdtempSync(join(tmpdir(), 'verit-attack-'))
    const model = await tinyModel(dir, context)
    const state = join(dir, 'state')
    const store = await openStore({ stateFolder: state, databaseUrl })
    const all = await makeKey(store, { name: 'all', scopes: ['infer', 'embed', 'models', 'admin', 'metrics', 'audit'] })
    const merged = merge(OPEN, sections)
    if (databaseUrl !== '') process.env['VERIT_DATABASE_URL'] = databaseUrl
    const server = await served(model, state, '--config', configFile(dir, merged)).finally(
      () => delete process.env['VERIT_DATABASE_URL']
    )
    return new Target(dir, model, store, server, all, merged)
  }

  /** Starts it again after it has ended, over the same state and on the same port. */
  async restart(sections: Sections = {}): Promise<void> {
    this.#sections = merge(this.#sections, sections)
    this.server = await served(
      this.model,
      this.state,
      '--config',
      configFile(this.dir, this.#sections),
      '--port',
      String(this.port)
    )
  }

  async stop(): Promise<void> {
    await this.server.stop()
    await this.store.close()
    rmSync(this.dir, { recursive: true, force: true })
  }

  get port(): number {
    return Number(new URL(this.server.url).port)
  }

  /** A new key in the store, as another process would have made it. */
  key(options: Partial<NewKeyOptions> = {}): Promise<NewKey & { key: string }> {
    return makeKey(this.store, { name: 'key', ...options })
  }

  fetch(path: string, init: RequestInit & { key?: string } = {}): Promise<Response> {
    const { key = this.all.key, headers, ...rest } = init
    const own = {
      ...(key !== '' && { authorization: `Bearer ${key}` }),
      ...(rest.body !== undefined && { 'content-type': 'application/json' })
    }
    return fetch(this.server.url + path, { ...rest, headers: { ...own, ...(headers as Record<string, string>) } })
  }

  /** POST of a completion; what `body` does not say is a prompt of one letter and one token. */
  complete(body: object = {}, init: RequestInit & { key?: string } = {}): Promise<Response> {
    return this.fetch('/v1/completions', {
      method: 'POST',
      body: JSON.stringify({ prompt: 'x', max_tokens: 1, ...body }),
      ...init
    })
  }

  /** What must hold after every case. */
  async survives(): Promise<void> {
    const answer = await this.complete()
    assert.equal(answer.status, 200, `a valid request is answered: ${await answer.text()}`)
    const health = await this.fetch('/health', { key: '' })
    assert.deepEqual([health.status, await health.json()], [200, { status: 'ok' }], 'the server is healthy')
  }

  socket(): Socket {
    const socket = connect({ port: this.port, host: '127.0.0.1', noDelay: true })
    return socket.on('error', () => undefined)
  }

  /** Sends bytes as they are and gives what comes back until the server ends the connection, or for 10 s. */
  async raw(...parts: (string | Uint8Array)[]): Promise<Answer> {
    const socket = this.socket()
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => void chunks.push(chunk))
    let closed = true
    const timer = setTimeout(() => {
      closed = false
      socket.destroy()
    }, 10_000)
    for (const part of parts) socket.write(typeof part === 'string' ? Buffer.from(part, 'latin1') : part)
    await new Promise(resolve => void socket.once('close', resolve))
    clearTimeout(timer)
    const text = Buffer.concat(chunks).toString('latin1')
    return { text, closed, statuses: [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(m => Number(m[1])) }
  }

  /** A request as text: the first line, the usual headers, those given, a body. */
  request(first: string, headers: readonly string[] = [], body = '', key = this.all.key): string {
    return [
      `${first} HTTP/1.1`,
      `Host: 127.0.0.1:${this.port}`,
      ...(key === '' ? [] : [`Authorization: Bearer ${key}`]),
      ...headers,
      '',
      body
    ].join('\r\n')
  }

  async gauge(name: string): Promise<number> {
    const text = await (await this.fetch('/metrics')).text()
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
  }

  /** Waits until nothing runs or waits and the connections are gone; fails where that does not come. */
  async quiet(): Promise<void> {
    await eventually(
      async () =>
        (await this.gauge('verit_generations_running')) === 0 &&
        (await this.gauge('verit_generations_waiting')) === 0 &&
        (await this.gauge('verit_connections')) <= 4,
      'generations and connections are not given back'
    )
  }

  /** Entries of the audit log. */
  async entries(): Promise<number> {
    return Number((await (await this.fetch('/v1/audit/checkpoint')).text()).split('\n')[1])
  }

  /** Resident memory of the gateway in MiB; 0 where the system does not tell. */
  memory(): number {
    try {
      return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${this.server.process.pid}/status`, 'utf8'))![1]) / 1024
    } catch {
      return 0
    }
  }
}

/** Waits up to 20 s for something to hold. */
export async function eventually(holds: () => Promise<boolean> | boolean, otherwise: string): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (await holds()) return
    await sleep(50)
  }
  assert.fail(otherwise)
}

/** Runs work over items, a few at a time, so that tests do not open hundreds of connections unless they mean to. */
export async function each<T>(items: readonly T[], work: (item: T) => Promise<void>, atOnce = 16): Promise<void> {
  const left = items.values()
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const item of left) await work(item)
    })
  )
}

/** The code of Verit's own table. */
export const codeOf = async (response: Response): Promise<string | undefined> =>
  ((await response.json()) as { error?: { verit: string } }).error?.verit

async function makeKey(store: Store, options: NewKeyOptions): Promise<NewKey & { key: string }> {
  return (await store.keys.create(options, 'cli')) as NewKey & { key: string }
}

function merge(base: Sections, over: Sections): Sections {
  return Object.fromEntries(
    [...new Set([...Object.keys(base), ...Object.keys(over)])].map(name => [name, { ...base[name], ...over[name] }])
  )
}

function configFile(dir: string, sections: Sections): string {
  const path = join(dir, 'verit.toml')
  writeFileSync(path, stringify(sections), { mode: 0o600 })
  return path
}
