/**
 * No prompt, however large, keeps others waiting in the runner: while the worst of 1 MiB are worked on, two at once,
 * another call has its one token soon (VERIT_TEST_CEILING_MS on a slow machine). Over HTTP, on all routes: H12 in
 * test/attacks; every body on every kind of tokenizer: test/full/largest-bodies.test.ts.
 */
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Prompt } from '../src/runner/messages.ts'
import { ModelRunner } from '../src/runner/model-runner.ts'
import { ceiling, largestLoads, modelWith } from './latency.ts'
import { testTokenizers } from './tokenizers.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-largest-'))
const WORST = ['text: line feeds', 'text: spaces', 'chat: beyond Latin', 'chat: every mark but one']
const path = await modelWith(dir, 'm', testTokenizers().get('pieces-unused')!)
chmodSync(path, 0o600)
const runner = await ModelRunner.start(path)
after(async () => {
  await runner.close()
  rmSync(dir, { recursive: true })
})

async function oneToken(): Promise<number> {
  const began = performance.now()
  assert.equal((await Array.fromAsync(runner.generate({ tokens: [1] }, { maxTokens: 1 }))).length, 3)
  return performance.now() - began
}

for (const { name, body } of largestLoads(load => WORST.includes(load))) {
  test(`${name}: another call has its token soon`, async () => {
    const { prompt: text, messages } = JSON.parse(body) as {
      prompt: string
      messages: Extract<Prompt, { messages: unknown }>['messages']
    }
    const tries: string[] = []
    // What the machine does besides can make any one of them slow.
    for (let i = 0; i < 3; i++) {
      const before = ceiling()
      const waits: number[] = []
      let refused = 0
      const load = async (): Promise<void> => {
        await assert.rejects(
          Array.fromAsync(runner.generate(messages === undefined ? { text } : { messages }, { maxTokens: 1 })),
          { code: 'VERIT_PROMPT_LENGTH' }
        )
        refused++
      }
      const all = Promise.all([load(), load()])
      do waits.push(await oneToken())
      while (refused < 2)
      await all
      const most = Math.max(...waits)
      const allowed = Math.max(before, ceiling())
      if (most <= allowed) return
      tries.push(`${Math.round(most)} ms of ${Math.round(allowed)}`)
    }
    assert.fail(tries.join('; '))
  })
}
