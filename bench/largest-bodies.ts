/**
 * What the largest bodies cost other clients: `node bench/largest-bodies.ts [--at-once N] [--kind NAME]... [--load
 * TEXT]...`. For each kind of tokenizer (test/tokenizers.ts) and each body of 1 MiB (test/latency.ts), sent N times at
 * once (default 4): milliseconds that another key waits for one token meanwhile, how long the bodies take to be
 * answered and with what, and the memory of gateway and runner. The first row of each kind is what that key waits while
 * nobody else asks.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openStore } from '../src/store/open-store.ts'
import { largestLoads, modelWith, waitsDuring } from '../test/latency.ts'
import type { Waits } from '../test/latency.ts'
import { killServers, served } from '../test/served.ts'
import { testTokenizers } from '../test/tokenizers.ts'

const {
  values: { 'at-once': atOnce, kind: kinds, load: names }
} = parseArgs({
  options: {
    'at-once': { type: 'string', default: '4' },
    kind: { type: 'string', multiple: true },
    load: { type: 'string', multiple: true }
  }
})
const dir = mkdtempSync(join(tmpdir(), 'verit-largest-'))
const config = join(dir, 'verit.toml')
writeFileSync(
  config,
  '[http]\nidle_seconds = 600\n[keys]\nrequests_per_minute = 0\n[addresses]\nrequests_per_minute = 0\n',
  { mode: 0o600 }
)
const wanted = (name: string, list: readonly string[] | undefined): boolean =>
  list === undefined || list.some(part => name.includes(part))
const memory = (pid: number, field: 'VmRSS' | 'VmHWM'): number =>
  Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024
const loads = largestLoads(name => wanted(name, names))
const at = (list: readonly number[], q: number): string =>
  list[Math.min(list.length - 1, Math.floor(list.length * q))]!.toFixed(0).padStart(7)

try {
  process.stdout.write(
    `${'tokenizer'.padEnd(17)}${'body'.padEnd(36)}waits    p50    p99    max ms   answered after ms, status   ` +
      `gateway, runner MiB (highest so far)\n`
  )
  for (const [name, kind] of testTokenizers()) {
    if (!wanted(name, kinds)) continue
    const state = join(dir, name)
    const server = await served(await modelWith(dir, name, kind), state, '--config', config)
    const store = await openStore({ stateFolder: state })
    const row = (body: string, { times, statuses, loadMs }: Omit<Waits, 'allowed'>): void => {
      const mib = [server.process.pid!, server.runnerPid()]
        .map(pid => `${memory(pid, 'VmRSS').toFixed(0)} (${memory(pid, 'VmHWM').toFixed(0)})`)
        .join(', ')
      process.stdout.write(
        `${name.padEnd(17)}${body.padEnd(36)}${String(times.length).padStart(5)}` +
          `${at(times, 0.5)}${at(times, 0.99)}${at(times, 1)}` +
          `${loadMs.toFixed(0).padStart(19)}, ${[...new Set(statuses)].join('/').padEnd(8)} ${mib}\n`
      )
    }
    const quiet = { name: '', path: '/v1/completions' as const, body: '{"prompt":[1],"max_tokens":1}' }
    for (let i = 0; i < 3; i++)
      await waitsDuring(
        server.url,
        { ...quiet, body: JSON.stringify({ prompt: [1], max_tokens: 8000 }) },
        { loading: server.key, other: server.key }
      )
    const times: number[] = []
    for (let i = 0; i < 50; i++)
      times.push(...(await waitsDuring(server.url, quiet, { loading: server.key, other: server.key }, 0)).times)
    row('(nobody else)', { times: times.sort((a, b) => a - b), statuses: [], loadMs: 0 })
    for (const load of loads) {
      const { key } = await store.keys.create({ name: load.name.slice(0, 60) }, 'cli') // a key has a rate of bytes
      row(load.name, await waitsDuring(server.url, load, { loading: key!, other: server.key }, Number(atOnce)))
    }
    await store.close()
    await server.stop()
  }
} finally {
  killServers()
  rmSync(dir, { recursive: true })
}
