/**
 * A gateway under many requests on one key with a budget, killed with SIGKILL at a random moment, again and again.
 * After each death: the budget was not overshot, every request that was answered is in the audit log, and the log
 * verifies, also against the checkpoint seen before.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readEntries } from '../src/audit/reader.ts'
import { verifyLog } from '../src/audit/verify.ts'
import { openStore } from '../src/store/open-store.ts'
import { served, tinyModel } from './served.ts'
import type { Served } from './served.ts'

const CONFIG = `
[http]
connections = 20000
connections_per_address = 20000
[inference]
parallel = 16
queue = 10000
[addresses]
requests_per_minute = 0
streams = 20000
`
/** Tokens that a request asks for: 1 to this many, beside those of its prompt. */
const MOST_TOKENS = 8
const PROMPT = Array.from({ length: 50 }, (_, i) => 1 + i)

interface Answered {
  id: string
  tokens: number
}

export interface CrashFigures {
  rounds: number
  answered: number
  refused: number
  /** Connections that the kill cut off. */
  lost: number
  /** Tokens over all keys: answered, counted by the store, allowed. */
  tokens: { answered: number; counted: number; allowed: number }
  entries: number
}

/**
 * @param rounds kills
 * @param requests sent at once in each round, on one new key whose budget suffices for about two thirds of them
 */
export async function crashWithBudget(rounds: number, requests: number): Promise<CrashFigures> {
  const dir = mkdtempSync(join(tmpdir(), 'verit-budget-'))
  const state = join(dir, 'state')
  const config = join(dir, 'verit.toml')
  writeFileSync(config, CONFIG, { mode: 0o600 })
  const figures: CrashFigures = {
    rounds,
    answered: 0,
    refused: 0,
    lost: 0,
    tokens: { answered: 0, counted: 0, allowed: 0 },
    entries: 0
  }
  try {
    const model = await tinyModel(dir, 64)
    let span = 1000
    let older: string[] = []
    for (let round = 0; round < rounds; round++) {
      const server = await served(model, state, '--config', config)
      const budget = Math.floor(requests * (PROMPT.length + MOST_TOKENS / 2) * (2 / 3))
      const { key, keyId } = await newKey(state, budget)
      const answered: Answered[] = []
      const begun = performance.now()
      const all = ask(server, key, requests, answered, figures)
      // The first round runs to its end, and tells how long that takes.
      if (round > 0) {
        await sleep(Math.random() * span)
        server.process.kill('SIGKILL')
      }
      await all
      if (round === 0) {
        span = performance.now() - begun
        assert.equal(await server.stop(), 0)
      } else await once(server)
      older = [...(await checkAfter(state, keyId, budget, answered, older, figures))]
    }
    return figures
  } finally {
    rmSync(dir, { recursive: true })
  }
}

/** Waits until a killed gateway and its runner are gone. */
async function once(server: Served): Promise<void> {
  while (server.process.exitCode === null && server.process.signalCode === null) await sleep(5)
}

async function newKey(state: string, tokensPerDay: number): Promise<{ key: string; keyId: string }> {
  const store = await openStore({ stateFolder: state })
  const { key, record } = await store.keys.create(
    { name: 'budget', limits: { tokensPerDay, streams: 100_000, requestsPerMinute: 10_000_000 } },
    'cli'
  )
  await store.close()
  return { key: key!, keyId: record.id }
}

async function ask(
  server: Served,
  key: string,
  requests: number,
  answered: Answered[],
  figures: CrashFigures
): Promise<void> {
  await Promise.all(
    Array.from({ length: requests }, async (_, i) => {
      try {
        const body = JSON.stringify({
          prompt: PROMPT,
          max_tokens: 1 + (i % MOST_TOKENS),
          stream: i % 3 === 0,
          stream_options: i % 3 === 0 ? { include_usage: true } : null
        })
        const response = await fetch(`${server.url}/v1/completions`, {
          method: 'POST',
          headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
          body
        })
        const text = await response.text()
        if (response.status === 200 && (i % 3 !== 0 || text.trimEnd().endsWith('[DONE]'))) {
          answered.push({
            id: response.headers.get('x-request-id')!,
            tokens: Number(/"total_tokens":(\d+)/.exec(text)![1])
          })
        } else if (response.status === 429) figures.refused++
        else figures.lost++
      } catch {
        figures.lost++
      }
    })
  )
}

/** Gives the log's newest checkpoint. */
async function checkAfter(
  state: string,
  keyId: string,
  budget: number,
  answered: Answered[],
  older: string[],
  figures: CrashFigures
): Promise<string[]> {
  const store = await openStore({ stateFolder: state })
  const { day } = await store.budgets.usage(keyId, new Date())
  await store.close()
  const tokens = answered.reduce((n, a) => n + a.tokens, 0)
  assert.ok(day.used + day.reserved <= budget, `${day.used} + ${day.reserved} tokens of ${budget}`)
  assert.ok(tokens <= day.used + day.reserved, `${tokens} tokens were answered, ${day.used} + ${day.reserved} counted`)

  const folder = join(state, 'audit')
  const found = await verifyLog(folder, { older })
  assert.deepEqual(found.problems, [])
  const recorded = new Map<string, number>()
  let entries = 0
  for (const { entry } of readEntries(folder)) {
    entries++
    if (entry.type === 'request') recorded.set(entry.request, (entry.promptTokens ?? 0) + (entry.completionTokens ?? 0))
  }
  for (const { id, tokens: counted } of answered)
    assert.equal(recorded.get(id), counted, `${id} was answered and is not in the log`)
  figures.answered += answered.length
  figures.tokens.answered += tokens
  figures.tokens.counted += day.used + day.reserved
  figures.tokens.allowed += budget
  figures.entries = entries
  return [readFileSync(join(folder, 'checkpoint'), 'utf8')]
}
