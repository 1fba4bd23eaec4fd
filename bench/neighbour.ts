/**
 * What a hostile runner costs its neighbours: `node bench/neighbour.ts [seconds a phase]`. A gateway serves one model
 * while another runner of the same machine, started and locked in the same way, attacks: each attempt of
 * test/hostile-runner.ts, one process after the other without a pause. Milliseconds of a one-token completion and of
 * /health over HTTP: quiet, while honest processes are started and ended in the same way (starting a process needs a
 * processor, whoever does it), and during the attacks; in turns, five rounds, so that the machine's own moods fall on
 * all three.
 */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { RunnerProcess } from '../src/runner/runner-process.ts'
import { compileHostile } from '../test/hostile-addon.ts'
import { killServers, served, tinyModel } from '../test/served.ts'

const ROUNDS = 5
const seconds = Number(process.argv[2] ?? 5)
const ATTACKS = [
  'open a file',
  'create a file',
  'connect',
  'bind',
  'run a program',
  'fork',
  'trace the parent',
  'signal the parent',
  'signal everyone',
  'map executable memory',
  'a ring',
  'all memory',
  'all memory in JavaScript',
  'many descriptors',
  'a frame of four gigabytes',
  'a frame that is no JSON',
  'hang'
]
const dir = mkdtempSync(join(tmpdir(), 'verit-neighbour-'))
const model = await tinyModel(dir)
const addon = join(dir, 'hostile.node')
const fd = openSync(model, 'r')
if (!compileHostile(addon)) throw new Error('a C compiler is needed')

type Phase = 'quiet' | 'honest starts' | 'attacks'
const phases: readonly Phase[] = ['quiet', 'honest starts', 'attacks']
let ended = 0

/** Starts processes and waits for their end until told to stop. */
async function neighbours(phase: Phase, signal: AbortSignal): Promise<void> {
  while (phase !== 'quiet' && !signal.aborted) {
    const orders = JSON.stringify({ addon, attempts: [ATTACKS[ended % ATTACKS.length]], path: join(dir, 'made') })
    const script = fileURLToPath(new URL('../test/hostile-runner.ts', import.meta.url))
    const runner = new RunnerProcess(
      phase === 'attacks' ? { fd, name: orders, script, memoryBytes: 2 ** 29, hangMs: 100 } : { fd, name: 'x' }
    )
    await runner.load().catch(() => undefined)
    await runner.close(0)
    if (phase === 'attacks') ended++
  }
}

const config = join(dir, 'verit.toml')
writeFileSync(config, '[keys]\nrequests_per_minute = 0\n[addresses]\nrequests_per_minute = 0\n', { mode: 0o600 })
const { url, key } = await served(model, join(dir, 'state'), '--config', config)
const times = new Map<string, number[]>()
async function timed(name: string, path: string, init: RequestInit): Promise<void> {
  const began = performance.now()
  const response = await fetch(url + path, init)
  await response.arrayBuffer()
  if (!response.ok) throw new Error(`${path}: ${response.status}`)
  const list = times.get(name) ?? []
  list.push(performance.now() - began)
  times.set(name, list)
}
const completion = {
  method: 'POST',
  headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
  body: JSON.stringify({ prompt: 'x', max_tokens: 1 })
}

try {
  for (let i = 0; i < 100; i++) await timed('warm-up', '/v1/completions', completion)
  for (let round = 0; round < ROUNDS; round++) {
    for (const phase of phases) {
      const stop = new AbortController()
      const others = neighbours(phase, stop.signal)
      const until = performance.now() + 1000 * seconds
      while (performance.now() < until) {
        await timed(`completion, ${phase}`, '/v1/completions', completion)
        await timed(`/health, ${phase}`, '/health', {})
        await sleep(20)
      }
      stop.abort()
      await others
    }
  }
  const at = (list: number[], q: number): string =>
    list[Math.min(list.length - 1, Math.floor(list.length * q))]!.toFixed(2).padStart(8)
  process.stdout.write(`${'ms'.padEnd(26)}requests     p50     p99     max\n`)
  for (const what of ['completion', '/health']) {
    for (const phase of phases) {
      const list = times.get(`${what}, ${phase}`)!.sort((a, b) => a - b)
      process.stdout.write(
        `${`${what}, ${phase}`.padEnd(26)}${String(list.length).padStart(8)}` +
          `${at(list, 0.5)}${at(list, 0.99)}${at(list, 1)}\n`
      )
    }
  }
  process.stdout.write(`${ended} hostile processes ended\n`)
} finally {
  killServers()
  closeSync(fd)
  rmSync(dir, { recursive: true })
}
