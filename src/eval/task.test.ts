import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { byteTokenizer, writeRandomModel } from '../bench/random-model.ts'
import { referenceExecutor } from '../exec/reference.ts'
import { openGguf } from '../formats/gguf-reader.ts'
import { parseModelConfig } from '../model/config.ts'
import { loadModel } from '../model/load-gguf.ts'
import { Evaluator } from './evaluator.ts'
import { Scorer } from './scorer.ts'
import type { ScoreRequest } from './scorer.ts'
import { slidingPerplexity } from './sliding-window.ts'
import { choose, formOf } from './task-forms.ts'
import { encodePair, measure, requestsOf } from './task.ts'
import type { Task } from './task.ts'
import { tokensInMemory } from './token-source.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-task-'))
after(() => rmSync(folder, { recursive: true }))
const executor = referenceExecutor()
const path = join(folder, 'gpt.gguf')
const config = parseModelConfig({ kind: 'gpt', layers: 1, hidden: 16, heads: 2, context: 40, vocab: 257 })
await writeRandomModel(path, executor, config)
using file = openGguf(path)
const model = await loadModel(file, executor)
const ids = (n: number, seed: number): Int32Array => Int32Array.from({ length: n }, (_, i) => (i * i * 7 + seed) % 257)

test('a score is the sum of the losses of the continuation, alone, in a batch and in any order', async () => {
  const requests: ScoreRequest[] = Array.from({ length: 12 }, (_, i) => ({
    context: ids(1 + ((i * 5) % 30), i),
    continuation: ids(1 + (i % 4), 100 + i)
  }))
  using scorer = new Scorer(executor, model.config, model.weights, true)
  const together = await scorer.score(requests)
  const reversed = await scorer.score(requests.toReversed())
  assert.deepEqual(reversed.toReversed(), together)
  for (const [i, request] of requests.entries()) assert.deepEqual(await scorer.score([request]), [together[i]])

  using evaluator = new Evaluator(executor, model.config, model.weights)
  const text = ids(20, 3)
  const { loss } = await evaluator.evaluate(tokensInMemory(text))
  const [score] = await scorer.score([{ context: text.subarray(0, 1), continuation: text.subarray(1) }])
  assert.ok(Math.abs(score!.logLikelihood + 19 * loss) < 1e-4)
})

test('a request that is longer than the context loses its first tokens; greedy is what decoding would give', async () => {
  using scorer = new Scorer(executor, model.config, model.weights, true)
  const long = { context: ids(60, 1), continuation: ids(3, 2) }
  const kept = { context: long.context.subarray(60 - 38), continuation: long.continuation }
  assert.deepEqual(await scorer.score([long]), await scorer.score([kept]))
  const all = await scorer.score(
    Array.from({ length: 257 }, (_, id) => ({ context: ids(9, 4), continuation: Int32Array.of(id) }))
  )
  const best = all.reduce((b, s, id) => (s.logLikelihood > all[b]!.logLikelihood ? id : b), 0)
  assert.deepEqual(
    all.flatMap(({ greedy }, id) => (greedy ? [id] : [])),
    [best]
  )
})

test('spaces at the end of a context belong to the continuation; an empty one is the begin or end token', () => {
  const tokenizer = byteTokenizer(257)
  const pair = encodePair(tokenizer, 'ab  ', 'cd')
  assert.deepEqual([pair.context, pair.continuation], [tokenizer.encode('ab'), tokenizer.encode('  cd')])
  assert.deepEqual(encodePair(tokenizer, '', 'x').context, Int32Array.of(tokenizer.endOfText!))
})

test('metrics follow the rules of lm-eval: the first of equals, characters without the delimiter, sample error', () => {
  const example = (gold: number) => choose('q', ['a', 'bbbb'], gold)!
  const task: Task = {
    name: 't',
    kind: 'multiple_choice',
    metrics: ['acc', 'acc_norm'],
    examples: [example(0), example(1), example(1), example(0)]
  }
  assert.equal(requestsOf(task, byteTokenizer(257)).length, 8)
  const score = (logLikelihood: number) => ({ logLikelihood, greedy: false })
  // By sum the first wins three times, once as the first of equals; by length the second wins always.
  const scores = [-2, -3, -2, -3, -5, -4, -3, -3].map(score)
  const { acc, acc_norm: norm } = measure(task, scores)
  assert.deepEqual(acc, { value: 0.75, stderr: 0.25 })
  assert.equal(norm!.value, 0.5)
  assert.ok(Math.abs(norm!.stderr! - 0.28867513459481287) < 1e-15)

  const lambada: Task = { name: 'l', kind: 'loglikelihood', metrics: ['perplexity', 'acc'], examples: [example(0)] }
  const one = measure(lambada, [{ logLikelihood: -Math.log(8), greedy: true }])
  assert.ok(Math.abs(one.perplexity!.value - 8) < 1e-9)
  assert.deepEqual([one.perplexity!.stderr, one.acc!.value], [undefined, 1])
})

test('the forms of published files are known by their fields, with the prompts of lm-eval', () => {
  const example = (doc: Record<string, unknown>) => formOf(doc)!.example(doc)
  const hellaswag = example({
    activity_label: 'Cooking',
    ctx_a: 'A man [title] stirs',
    ctx_b: 'THE soup',
    label: '1',
    endings: ['is  hot. [step] Then', 'x']
  })!
  assert.equal(hellaswag.context, 'Cooking: A man. stirs The soup')
  assert.deepEqual(hellaswag.continuations, [' is hot. Then', ' x'])
  assert.deepEqual([hellaswag.lengths, hellaswag.gold], [[12, 1], 1])
  const arc = example({ question: 'Why?', choices: { text: ['no', 'yes'], label: ['1', '2'] }, answerKey: '2' })!
  assert.deepEqual([arc.context, arc.gold], ['Question: Why?\nAnswer:', 1])
  assert.deepEqual(example({ sentence_good: 'g', sentence_bad: 'b' })!.continuations, [' g', ' b'])
  const lambada = example({ text: 'in the end' })!
  assert.deepEqual([lambada.context, lambada.continuations], ['in the', [' end']])
  assert.equal(formOf({ other: 1 }), undefined)
  assert.equal(example({ question: 'Why?', choices: { text: ['no'], label: ['1'] }, answerKey: '2' }), undefined)
})

test('overlapping windows count each token once, and a stride of the context is adjacent windows', async () => {
  using scorer = new Scorer(executor, model.config, model.weights, false)
  const source = tokensInMemory(ids(100, 9))
  const { tokens } = await slidingPerplexity(scorer, source, { context: 40, stride: 15 })
  // Windows have 40, 15, 15, 15 and 15 new tokens; each counts one less.
  assert.equal(tokens, 39 + 4 * 14)
  const whole = await slidingPerplexity(scorer, tokensInMemory(ids(30, 9)), { context: 40, stride: 40 })
  using evaluator = new Evaluator(executor, model.config, model.weights)
  const plain = await evaluator.evaluate(tokensInMemory(ids(30, 9)))
  assert.ok(Math.abs(whole.loss - plain.loss) < 1e-6)
  assert.equal(whole.tokens, 29)
})
