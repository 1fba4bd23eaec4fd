/**
 * Whether the time to the first token tells one client what another has asked: a client with its own key asks for a
 * prompt that another client has just sent, or for one that nobody has; the area under the ROC curve of telling the two
 * by time. 0.5 is chance.
 *
 *     node bench/first-token.ts [pairs]
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStore } from '../src/store/open-store.ts'
import { killServers, served, tinyModel } from '../test/served.ts'

const pairs = Number(process.argv[2] ?? 1500)
const PROMPT = 400
const dir = mkdtempSync(join(tmpdir(), 'verit-ttft-'))
const state = join(dir, 'state')
const config = join(dir, 'verit.toml')
writeFileSync(config, '[addresses]\nrequests_per_minute = 0\n[keys]\nrequests_per_minute = 0\n', { mode: 0o600 })
const server = await served(await tinyModel(dir, 512), state, '--config', config)
const store = await openStore({ stateFolder: state })
const [victim, prober] = [
  (await store.keys.create({ name: 'victim' }, 'cli')).key!,
  (await store.keys.create({ name: 'prober' }, 'cli')).key!
]
await store.close()

/** ms until the first token event has come. */
async function firstToken(key: string, prompt: number[]): Promise<number> {
  const start = performance.now()
  const response = await fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ prompt, max_tokens: 2, stream: true, ignore_eos: true, logprobs: 0 })
  })
  const reader = response.body!.getReader()
  await reader.read()
  const took = performance.now() - start
  while (!(await reader.read()).done);
  return took
}

const randomPrompt = (): number[] => Array.from({ length: PROMPT }, () => Math.floor(Math.random() * 256))
try {
  for (let i = 0; i < 100; i++) await firstToken(prober, randomPrompt())
  const seen: number[] = []
  const unseen: number[] = []
  for (let i = 0; i < pairs; i++) {
    const [shared, own] = [randomPrompt(), randomPrompt()]
    await firstToken(victim, shared)
    for (const hit of Math.random() < 0.5 ? [true, false] : [false, true])
      (hit ? seen : unseen).push(await firstToken(prober, hit ? shared : own))
  }
  const all = [...seen.map(t => [t, 1] as const), ...unseen.map(t => [t, 0] as const)].sort((a, b) => a[0] - b[0])
  // Mann-Whitney: how often a seen prompt is faster than one that was not, ties counted half.
  let below = 0
  let wins = 0
  for (const [, hit] of all.toReversed()) {
    if (hit === 0) below++
    else wins += below
  }
  const auc = wins / (seen.length * unseen.length)
  const median = (x: number[]): number => x.toSorted((a, b) => a - b)[x.length >> 1]!
  const medianMs = { seen: median(seen), unseen: median(unseen) }
  process.stdout.write(`${JSON.stringify({ pairs, promptTokens: PROMPT, medianMs, auc: Number(auc.toFixed(4)) })}\n`)
} finally {
  killServers()
  rmSync(dir, { recursive: true })
}
