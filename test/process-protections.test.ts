/**
 * The two processes of a server and what an operator or another process of the machine may do to them: every signal,
 * a debugger, a look at their memory, a core file, a log that nobody reads. One table says what holds
 * (src/lib/process-protections.ts).
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { readEntries } from '../src/audit/reader.ts'
import {
  exposingOption,
  ignoredNatively,
  realTimeSignals,
  signalReactions,
  signalsThat
} from '../src/lib/process-protections.ts'
import { killServers, servedBy, tinyModel } from './served.ts'
import type { Served } from './served.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-protections-'))
after(() => {
  killServers()
  rmSync(dir, { recursive: true })
})
const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
const model = await tinyModel(dir)
const linux = process.platform === 'linux'
const skip = linux ? false : 'signals and /proc of Linux'

/** Root sees everything: as root the server runs as another user, if that user can read this checkout. */
const OTHER = 65_534
function canRun(): boolean {
  return spawnSync(process.execPath, [main, '--version'], { uid: OTHER, gid: OTHER, cwd: '/' }).status === 0
}
const asOther = linux && process.getuid!() === 0 && canRun()
const user = asOther ? { uid: OTHER, gid: OTHER } : {}
const home = join(dir, 'home')
mkdirSync(home)
chmodSync(dir, 0o711)
if (asOther) for (const path of [home, model]) chownSync(path, OTHER, OTHER)

const start = (env: Record<string, string>, name: string): Promise<Served> =>
  servedBy({ ...user, cwd: home, env: { ...env, HOME: home } }, model, join(home, name))
const stateOf = (pid: number): string => /^State:\s+(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!
const lastEntry = (name: string): Partial<Record<'type' | 'event', unknown>> =>
  [...readEntries(join(home, name, 'audit'))].at(-1)!.entry
const answers = async (server: Served): Promise<number> =>
  (
    await fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'x', max_tokens: 1 })
    })
  ).status
const isOpen = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    }).on('error', () => resolve(false))
  })
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => void server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

test('every signal of this system has its row, and docs/guide/security.md has it, too', () => {
  const aliases = new Set(['SIGIOT', 'SIGPOLL', 'SIGBREAK', 'SIGINFO', 'SIGEMT', 'SIGLOST', 'SIGUNUSED'])
  assert.deepEqual(
    Object.keys(constants.signals).filter(name => !aliases.has(name) && !(name in signalReactions)),
    []
  )
  const docs = readFileSync(new URL('../docs/guide/security.md', import.meta.url), 'utf8')
  const section = docs.slice(docs.indexOf('## Signals'))
  assert.deepEqual(
    Object.keys(signalReactions).filter(name => !section.includes(`\`${name}\``)),
    []
  )
})

// Also with a log that nobody reads any more.
test('neither process has a debugger, a core or open memory; signals end them in order', { skip }, async () => {
  const port = await freePort()
  const server = await start({ NODE_OPTIONS: `--inspect-port=${port}` }, 'state')
  const gateway = server.process.pid!
  const runner = server.runnerPid()
  for (const pid of [gateway, runner]) {
    assert.match(readFileSync(`/proc/${pid}/limits`, 'utf8'), /^Max core file size +0 +0 /m)
    if (asOther || process.getuid!() !== 0) assert.equal(statSync(`/proc/${pid}/mem`).uid, 0, 'its memory can be read')
  }
  assert.match(readFileSync(`/proc/${runner}/cmdline`, 'latin1'), /--disable-sigusr1/)
  assert.match(server.stderr(), /Gateway protected: no debugger, no core files, memory closed/)

  for (const pid of [gateway, runner]) {
    const role = pid === gateway ? 'gateway' : 'runner'
    const harmless = [...signalsThat(role, 'ignore'), ...signalsThat(role, 'none'), ...realTimeSignals]
    for (const signal of harmless) process.kill(pid, signal)
    if (role === 'runner') for (const signal of signalsThat('gateway', 'stop')) process.kill(pid, signal)
    process.kill(pid, 'SIGHUP')
  }
  // Signals that come together are handled in no certain order.
  await server.logged(/"signal":"SIGUSR1"/)
  await server.logged(/"signal":"SIGHUP"/)
  assert.equal(await answers(server), 200)
  assert.deepEqual([server.process.exitCode, server.runnerPid(), await isOpen(port)], [null, runner, false])

  process.kill(gateway, 'SIGTSTP')
  for (let i = 0; stateOf(gateway) !== 'T' && i < 200; i++) await sleep(10)
  process.kill(gateway, 'SIGCONT')
  assert.equal(await answers(server), 200)

  server.process.stderr!.destroy() // the reader of the log has gone
  for (let i = 0; i < 3; i++) assert.equal(await answers(server), 200)
  process.kill(gateway, 'SIGQUIT')
  assert.equal(await server.stop(), 0)
  const { type, event } = lastEntry('state')
  assert.deepEqual([type, event], ['server', 'stop'])
})

type Ending = [status: number | null, signal: string | null]
type Line = Record<string, unknown>
interface JsonServer {
  process: ChildProcess
  ended: Promise<Ending>
  /** Whole lines so far. */
  lines: () => Line[]
}

/** A server that writes JSON lines alone, over a state folder of that name. */
function jsonServer(name: string): JsonServer {
  const words = [main, 'serve', model, '--port', '0', '--state', join(home, name), '--allow-unsigned', '--log-json']
  const child = spawn(process.execPath, words, { ...user, cwd: home, stdio: ['ignore', 'inherit', 'pipe'] })
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => void (text += chunk))
  const ended = new Promise<Ending>(resolve => void child.once('close', (...how) => resolve(how)))
  const whole = (): string[] =>
    text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .filter(line => line !== '')
  return { process: child, ended, lines: () => whole().map(line => JSON.parse(line) as Line) }
}

// Ends with a fault in the gateway, which leaves no core file.
test('with --log-json every line is JSON, and no key is made that nobody would see', { skip }, async () => {
  const server = jsonServer('json')
  const said = (msg: RegExp): Line | undefined => server.lines().find(line => msg.test(String(line['msg'])))
  while (said(/there is no key yet/) === undefined && server.process.exitCode === null) await sleep(20)
  const { url, gateway, digest } = said(/^serving$/) ?? {}
  assert.match([url, gateway, digest].join(' '), /^http:\S+ protected: .* sha256:[0-9a-f]{64}$/)
  assert.doesNotMatch(JSON.stringify(server.lines()), /verit_\w{20}/)

  // as an operator may have set it
  spawnSync('prlimit', ['--core=unlimited', '--pid', String(server.process.pid)])
  server.process.kill('SIGABRT')
  assert.deepEqual(await server.ended, [null, 'SIGABRT'])
  assert.deepEqual(
    readdirSync(home).filter(name => name.startsWith('core')),
    []
  )
})

test('a stop during the start is in the audit log, and in the log as JSON', { skip }, async () => {
  const size = (): number => Number(readFileSync(join(home, 'json/audit/checkpoint'), 'utf8').split('\n')[1])
  const before = size()
  const server = jsonServer('json')
  while (size() < before + 2 && server.process.exitCode === null) await sleep(5) // start, config
  server.process.kill('SIGTERM')
  assert.deepEqual(await server.ended, [143, null])
  assert.ok(server.lines().some(line => line['signal'] === 'SIGTERM'))
  const { type, event } = lastEntry('json')
  assert.deepEqual([type, event], ['server', 'stop'])
})

test('serve refuses to run with a debugger', () => {
  const serve = [main, 'serve', model, '--port', '0', '--state', join(dir, 'none'), '--allow-unsigned']
  const { status, stderr } = spawnSync(process.execPath, ['--inspect=0', ...serve], { encoding: 'utf8' })
  assert.deepEqual([status, /VERIT_DEBUGGER/.test(stderr)], [2, true], stderr)
})

test('options of Node that show memory are found however they are written, and others are not', () => {
  const shown = (args: string[], nodeOptions = ''): string | undefined => exposingOption(args, nodeOptions)?.option
  const exposing = [
    '--inspect',
    '--inspect=0',
    '--inspect_brk',
    '--inspect-wait=1.2.3.4:9',
    '--heapsnapshot-signal=SIGUSR2',
    '--report-on-signal',
    '--tls-keylog=/tmp/k'
  ]
  for (const option of exposing) {
    assert.deepEqual([shown([option]), shown([], `--no-warnings "${option}"`)], [option, option])
  }
  const harmless = ['--inspect-port=1', '--max-old-space-size=100', '--disable-sigusr1']
  assert.equal(shown(harmless, '--import=./x.mjs'), undefined)
})

test('what is ignored natively is ignored by this table', () => {
  const ignored = { gateway: 'ignore', runner: 'ignore' }
  for (const name of ignoredNatively) assert.deepEqual(signalReactions[name], ignored)
})
