/**
 * `verit` commands for tests. `verit` and `veritSync` run a command in one process that stays (cli-host.ts) and is ended
 * with the test; what must be a process of its own (signals, standard streams, servers) is started with `MAIN`.
 */
import { execFileSync, spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, read, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** The program, for tests that start it themselves. */
export const MAIN = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
const HOST = fileURLToPath(new URL('cli-host.ts', import.meta.url))

export interface Ended {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export interface CliOptions {
  /** Default: this process's. */
  readonly cwd?: string
  /** Variables over those of this process; undefined removes one. */
  readonly env?: Readonly<Record<string, string | undefined>>
}

export interface HostRequest {
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

const readSome = promisify(read)

class Host {
  #requests: number
  #results: number
  #last: Promise<unknown> = Promise.resolve()

  constructor() {
    const folder = mkdtempSync(join(tmpdir(), 'verit-cli-'))
    const [requests, results] = [join(folder, 'requests'), join(folder, 'results')]
    execFileSync('mkfifo', [requests, results])
    const child = spawn(process.execPath, [HOST, requests, results], { stdio: ['ignore', 'ignore', 'inherit'] })
    child.unref()
    // Opening one end of a pipe waits for the other.
    this.#requests = openSync(requests, 'w')
    this.#results = openSync(results, 'r')
    rmSync(folder, { recursive: true })
    process.once('exit', () => closeSync(this.#requests))
  }

  sync(args: readonly string[], options: CliOptions): Ended {
    this.#send(args, options)
    const take = (length: number): Buffer => {
      const bytes = Buffer.alloc(length)
      for (let done = 0; done < length;) done += some(readSync(this.#results, bytes, done, length - done, null))
      return bytes
    }
    return JSON.parse(take(take(4).readUInt32LE()).toString()) as Ended
  }

  /** Commands run one after another; this process goes on meanwhile. */
  run(args: readonly string[], options: CliOptions): Promise<Ended> {
    const next = this.#last.then(async () => {
      this.#send(args, options)
      const take = async (length: number): Promise<Buffer> => {
        const bytes = Buffer.alloc(length)
        for (let done = 0; done < length;) done += some((await readSome(this.#results, bytes, done, length - done, null)).bytesRead)
        return bytes
      }
      return JSON.parse((await take((await take(4)).readUInt32LE())).toString()) as Ended
    })
    this.#last = next.catch(() => undefined)
    return next
  }

  #send(args: readonly string[], { cwd = process.cwd(), env = {} }: CliOptions): void {
    const all = Object.entries({ ...process.env, ...env }).filter((entry): entry is [string, string] => entry[1] !== undefined)
    const request = Buffer.from(JSON.stringify({ args, cwd, env: Object.fromEntries(all) } satisfies HostRequest))
    const length = Buffer.alloc(4)
    length.writeUInt32LE(request.length)
    const bytes = Buffer.concat([length, request])
    for (let done = 0; done < bytes.length;) done += writeSync(this.#requests, bytes, done)
  }
}

function some(n: number): number {
  if (n === 0) throw new Error('the process that runs commands has ended')
  return n
}

let host: Host | undefined

/** Runs a command and waits for it, which stops everything else in this process: a command that asks a server in this process needs `verit`. */
export const veritSync = (args: readonly string[], options: CliOptions = {}): Ended => (host ??= new Host()).sync(args, options)

/** Runs a command while this process goes on. */
export const verit = (args: readonly string[], options: CliOptions = {}): Promise<Ended> => (host ??= new Host()).run(args, options)
