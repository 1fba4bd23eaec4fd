/**
 * Runs `verit` commands one after another in this process, for tests (cli.ts): starting Node and loading its modules
 * costs a second, most commands a few milliseconds. Reads requests from one pipe and writes results to another.
 */
import type { EventEmitter } from 'node:events'
import { openSync, readSync, writeSync } from 'node:fs'
import { runProgram } from '../src/cli/program.ts'
import type { Ended, HostRequest } from './cli.ts'

/** What `process.exit` throws here. */
class Exit extends Error {
  readonly status: number

  constructor(status: number) {
    super('exit')
    this.status = status
  }
}

/** What `process.exit` is made of: it is replaced below. */
const leaveForGood = process.exit.bind(process)

const [requestPipe, resultPipe] = process.argv.slice(2)
const requests = openSync(requestPipe!, 'r')
const results = openSync(resultPipe!, 'w')

function readExactly(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let done = 0; done < length;) {
    const n = readSync(requests, bytes, done, length - done, null)
    if (n === 0) leaveForGood(0)
    done += n
  }
  return bytes
}

function writeAll(bytes: Buffer): void {
  for (let done = 0; done < bytes.length;) done += writeSync(results, bytes, done)
}

function capture(stream: NodeJS.WriteStream, pieces: Buffer[]): void {
  stream.write = ((data: string | Uint8Array, encoding?: unknown, then?: unknown) => {
    const named = typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8'
    pieces.push(typeof data === 'string' ? Buffer.from(data, named) : Buffer.from(data))
    const callback = typeof encoding === 'function' ? encoding : then
    if (typeof callback === 'function') queueMicrotask(() => callback())
    return true
  }) as typeof stream.write
}

function setEnvironment(env: Readonly<Record<string, string>>): void {
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name]
  Object.assign(process.env, env)
}

/** A command that calls `process.exit` outside its own promise (in a signal handler, say) ends here. */
let leave: (e: unknown) => void = () => undefined
process.on('uncaughtException', e => leave(e))
process.on('unhandledRejection', e => leave(e))
process.exit = (status?: number | string | null): never => {
  throw new Exit(Number(status ?? process.exitCode ?? 0))
}

/** A command's process ends with it, and its listeners do. Those that were there before stay. */
function rememberListeners(): () => void {
  const emitters: readonly EventEmitter[] = [process, process.stdout, process.stderr]
  const before = emitters.map(emitter => new Map(emitter.eventNames().map(name => [name, emitter.rawListeners(name)])))
  return () => {
    for (const [i, emitter] of emitters.entries()) {
      for (const name of emitter.eventNames()) {
        const kept = before[i]!.get(name) ?? []
        for (const listener of emitter.rawListeners(name)) {
          if (!kept.includes(listener)) emitter.removeListener(name, listener as () => void)
        }
      }
    }
  }
}

async function run({ args, cwd, env }: HostRequest): Promise<Ended> {
  const out: Buffer[] = []
  const err: Buffer[] = []
  capture(process.stdout, out)
  capture(process.stderr, err)
  setEnvironment(env)
  process.chdir(cwd)
  const mask = process.umask()
  const forgetListeners = rememberListeners()
  process.exitCode = undefined
  let status: number | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      leave = reject
      runProgram(args).then(resolve, reject)
    })
  } catch (e) {
    if (!(e instanceof Exit)) err.push(Buffer.from(`${e instanceof Error ? e.stack : String(e)}\n`))
    status = e instanceof Exit ? e.status : 1
  }
  process.umask(mask)
  forgetListeners()
  status ??= Number(process.exitCode ?? 0)
  process.exitCode = undefined
  return { status, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }
}

for (;;) {
  const request = JSON.parse(readExactly(readExactly(4).readUInt32LE()).toString()) as HostRequest
  const result = Buffer.from(JSON.stringify(await run(request)))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(result.length)
  writeAll(Buffer.concat([length, result]))
}
