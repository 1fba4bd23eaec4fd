/**
 * A real Valkey or Redis server for tests: from PATH, on a free loopback port, with a random password, which it reads
 * from standard input, and without files. It ends with the test process.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { accessSync, constants } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { once } from 'node:events'

const binary = ['valkey-server', 'redis-server']
  .flatMap(name => (process.env['PATH'] ?? '').split(delimiter).map(folder => join(folder, name)))
  .find(path => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })

/** Why tests with a server are left out, or false. */
export const noValkey: string | false =
  binary === undefined &&
  'neither valkey-server nor redis-server is in PATH: install the package valkey or redis-server to run this'

export class Valkey {
  readonly port: number
  readonly password: string
  #process: ChildProcess | undefined

  private constructor(port: number, password: string) {
    this.port = port
    this.password = password
  }

  static async start(): Promise<Valkey> {
    const valkey = new Valkey(await freePort(), randomBytes(16).toString('hex'))
    await valkey.start()
    return valkey
  }

  get url(): string {
    return `redis://:${this.password}@127.0.0.1:${this.port}/0`
  }

  get pid(): number {
    return this.#process!.pid!
  }

  /** Starts it, empty, on the same port as before. */
  async start(): Promise<void> {
    const child = spawn(binary!, ['-'], { stdio: ['pipe', 'pipe', 'inherit'], cwd: tmpdir() })
    this.#process = child
    process.once('exit', () => child.kill('SIGKILL'))
    child.stdin!.end(`bind 127.0.0.1\nport ${this.port}\nrequirepass ${this.password}\nsave ""\nappendonly no\n`)
    let said = ''
    await new Promise<void>((resolve, reject) => {
      child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
        said = (said + chunk).slice(-4000)
        if (said.includes('eady to accept connections')) resolve()
      })
      child.once('error', reject).once('exit', () => reject(new Error(`the server did not start:\n${said}`)))
    })
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    const child = this.#process
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGCONT')
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
