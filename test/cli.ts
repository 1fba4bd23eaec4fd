/**
 * `verit` commands for tests. `verit` and `veritSync` run a command in one process that stays (cli-host.ts) and is
 * ended with the test, unless the command locks its process or reads standard input. What must be a process of its own
 * for another reason (signals, standard streams, servers) is started with `MAIN`. With VERIT_TEST_PROCESSES set, every
 * command is a process of its own.
 */
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, read, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { lockedCommands } from '../src/cli/commands.ts'

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
  /** What the command reads from standard input. */
  readonly input?: string | Uint8Array
  /** The command is refused before it would lock its process, so it may run where others do. */
  readonly refusedEarly?: boolean
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
        for (let done = 0; done < length;) {
          const { bytesRead } = await readSome(this.#results, bytes, done, length - done, null)
          done += some(bytesRead)
        }
        return bytes
      }
      return JSON.parse((await take((await take(4)).readUInt32LE())).toString()) as Ended
    })
    this.#last = next.catch(() => undefined)
    return next
  }

  #send(args: readonly string[], { cwd = process.cwd(), env = {} }: CliOptions): void {
    const request = Buffer.from(JSON.stringify({ args, cwd, env: variables(env) } satisfies HostRequest))
    const length = Buffer.alloc(4)
    length.writeUInt32LE(request.length)
    const bytes = Buffer.concat([length, request])
    for (let done = 0; done < bytes.length;) done += writeSync(this.#requests, bytes, done)
  }
}

/** This process's variables with those of a test over them. */
function variables(over: CliOptions['env'] = {}): Record<string, string> {
  const all = Object.entries({ ...process.env, ...over })
  return Object.fromEntries(all.filter((entry): entry is [string, string] => entry[1] !== undefined))
}

function some(n: number): number {
  if (n === 0) throw new Error('the process that runs commands has ended')
  return n
}

let host: Host | undefined

/** A locked process stays locked, and standard input is a process's own: these run in real processes. */
function needsProcess(args: readonly string[], { input, refusedEarly = false }: CliOptions): boolean {
  if (process.env.VERIT_TEST_PROCESSES !== undefined || input !== undefined) return true
  return lockedCommands.includes(args[0] ?? '') && !refusedEarly
}

/** Runs a command and waits, while this process stands still: for a command that asks a server in it, use `verit`. */
export function veritSync(args: readonly string[], options: CliOptions = {}): Ended {
  if (!needsProcess(args, options)) return (host ??= new Host()).sync(args, options)
  const { cwd, env, input = '' } = options
  const ended = spawnSync(process.execPath, [MAIN, ...args], { cwd, env: variables(env), input, encoding: 'utf8' })
  return { status: ended.status ?? -1, stdout: ended.stdout, stderr: ended.stderr }
}

/** Runs a command while this process goes on. */
export function verit(args: readonly string[], options: CliOptions = {}): Promise<Ended> {
  if (!needsProcess(args, options)) return (host ??= new Host()).run(args, options)
  const { cwd, env, input = '' } = options
  return new Promise(resolve => {
    const child = execFile(process.execPath, [MAIN, ...args], { cwd, env: variables(env) }, (e, stdout, stderr) =>
      resolve({ status: e === null ? 0 : Number(e.code), stdout, stderr })
    )
    child.stdin!.on('error', () => undefined) // it may be over before it has read
    child.stdin!.end(input)
  })
}
