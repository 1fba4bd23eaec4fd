/**
 * A constraint on the tokens of an answer, through the whole engine: batching, drafts, screening and log probabilities
 * give the same answer.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { writeRandomPacked } from '../bench/random-packed.ts'
import { openExecutor } from '../exec/index.ts'
import { openGguf } from '../formats/gguf-reader.ts'
import { finish } from '../lib/steps.ts'
import { parseModelConfig } from '../model/config.ts'
import type { BitnetConfig } from '../model/config.ts'
import { loadModel } from '../model/load-gguf.ts'
import { maskOf } from '../sampler/token-mask.ts'
import type { TokenConstraint } from '../sampler/token-mask.ts'
import { ChatFormat } from './chat-format.ts'
import { MOST_DRAFT_TOKENS } from './drafts.ts'
import type { GenerateEvent } from './engine.ts'
import { PageCache } from './page-cache.ts'
import { checkRequest } from './request.ts'
import type { GenerateRequest } from './request.ts'
import { Scheduler } from './scheduler.ts'
import { Sequence } from './sequence.ts'
import { ServingModel } from './serving-model.ts'

const VOCAB = 1500
const CONTEXT = 96
const folder = mkdtempSync(join(tmpdir(), 'verit-constraint-'))
const path = join(folder, 'm.gguf')
after(() => rmSync(folder, { recursive: true }))
writeRandomPacked(
  path,
  parseModelConfig({
    kind: 'bitnet',
    layers: 1,
    hidden: 256,
    heads: 4,
    kvHeads: 2,
    ffn: 256,
    context: CONTEXT,
    vocab: VOCAB
  }) as BitnetConfig
)
const executor = openExecutor({ threads: 1 })

/**
 * A few tokens in turn by the length of the answer, so that texts repeat themselves and drafts are accepted and cut.
 */
const few: TokenConstraint = {
  maskAfter: (ids, promptTokens) =>
    maskOf(
      VOCAB,
      [0, 1].map(n => 300 + (((ids.length - promptTokens) % 5) * 2 + n))
    )
}
/** All tokens but some, so that screening still asks for few logits. */
const most: TokenConstraint = {
  maskAfter: ids =>
    maskOf(
      VOCAB,
      Array.from({ length: VOCAB }, (_, id) => id).filter(id => (id + ids.length) % 3 !== 0)
    )
}
/** All tokens at every other position. */
const halfTheTime: TokenConstraint = {
  maskAfter: (ids, promptTokens) => (ids.length % 2 === 0 ? undefined : few.maskAfter(ids, promptTokens))
}

interface Setup {
  screen: boolean
  rowCost?: number
}

/** The events of each answer, all side by side, without times. */
async function answers(
  { screen, rowCost }: Setup,
  requests: readonly [GenerateRequest, TokenConstraint | undefined][]
): Promise<{ events: GenerateEvent[][]; drafted: number; accepted: number }> {
  using file = openGguf(path)
  const { config, weights, tokenizer } = await loadModel(file, executor, { screen })
  using model = new ServingModel(executor, config, weights, {
    slots: 2,
    context: CONTEXT,
    outputs: 2 + MOST_DRAFT_TOKENS,
    pages: (2 * CONTEXT) / 16
  })
  const scheduler = new Scheduler(model, new PageCache((2 * CONTEXT) / 16), 64, rowCost)
  const chat = new ChatFormat(undefined, tokenizer)
  const events = await Promise.all(
    requests.map(async ([request, constraint]) => {
      const checked = {
        ...finish(checkRequest(request, { tokenizer, chat, context: CONTEXT })),
        ...(constraint && { constraint })
      }
      const sequence = new Sequence(checked, tokenizer, new Set(), CONTEXT, () => scheduler.wake())
      scheduler.submit(sequence)
      const all = await Array.fromAsync(sequence.events)
      return all.map((e): GenerateEvent => (e.type === 'end' ? { ...e, timings: { promptMs: 0, predictedMs: 0 } } : e))
    })
  )
  return { events, ...scheduler.drafts }
}

const prompt = [5, 6, 7, 5, 6, 7]
const requests = [few, most, halfTheTime, undefined].flatMap(constraint =>
  (
    [
      { temperature: 0 },
      { temperature: 0, topK: 0, logprobs: 5 },
      { topK: 0, seed: 3 },
      { topK: 40, seed: 4, temperature: 2 },
      { seed: 5, repetitionPenalty: 1.3, presencePenalty: 0.5 },
      { seed: 6, topK: 3, topP: 0.9, minP: 0.1, logprobs: 20 }
    ] satisfies Partial<GenerateRequest>[]
  ).map((more): [GenerateRequest, TokenConstraint | undefined] => [
    { prompt, seed: 1, maxTokens: 40, ignoreEndOfText: true, ...more },
    constraint
  ])
)

test('a constraint holds for every token; drafts and output-head screening change no event', async () => {
  const plain = await answers({ screen: false }, requests)
  for (const [r, [, constraint]] of requests.entries()) {
    const tokens = plain.events[r]!.filter(e => e.type === 'token')
    const ids = [...prompt]
    assert.equal(tokens.length, 40)
    for (const { id, top } of tokens) {
      const mask = constraint?.maskAfter(ids, prompt.length)
      if (mask !== undefined)
        for (const t of [id, ...(top?.map(one => one.id) ?? [])])
          assert.ok((mask[t >> 5]! >>> (t & 31)) & 1, `token ${t} of request ${r} is allowed`)
      ids.push(id)
    }
  }
  assert.deepEqual([plain.drafted, plain.accepted], [0, 0])
  for (const screen of [false, true]) {
    const drafting = await answers({ screen, rowCost: 0 }, requests)
    for (const [r, events] of drafting.events.entries()) assert.deepEqual(events, plain.events[r], `request ${r}`)
    assert.ok(
      drafting.accepted > 20 && drafting.drafted > drafting.accepted,
      `${drafting.accepted} of ${drafting.drafted} draft tokens were accepted`
    )
  }
  assert.deepEqual((await answers({ screen: true }, requests.toReversed())).events.toReversed(), plain.events)
})

test('a draft ends before the first token that the mask excludes', async () => {
  using file = openGguf(path)
  const { tokenizer } = await loadModel(file, executor)
  const request = finish(
    checkRequest(
      { prompt: [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3], maxTokens: 40 },
      { tokenizer, chat: new ChatFormat(undefined, tokenizer), context: CONTEXT }
    )
  )
  const draft = (constraint?: TokenConstraint): number[] =>
    new Sequence({ ...request, ...(constraint && { constraint }) }, tokenizer, new Set(), CONTEXT, () => {}).draft(4, 0)
  assert.deepEqual(draft(), [4, 5, 1, 2])
  assert.deepEqual(draft({ maskAfter: ids => maskOf(VOCAB, ids.at(-1) === 5 ? [9] : [4, 5, 1, 2]) }), [4, 5])
  assert.deepEqual(draft({ maskAfter: () => maskOf(VOCAB, [9]) }), [])
  assert.deepEqual(draft({ maskAfter: () => undefined }), [4, 5, 1, 2])
})
