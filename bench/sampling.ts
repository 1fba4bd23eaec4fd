/**
 * What choosing a token takes, and its log probabilities, at the vocabulary of Llama 3 (128,256 tokens): `node
 * bench/sampling.ts`, some seconds. Logits that are nearly alike, and such as models give, near normal with a few that
 * stand out. Milliseconds of one choice: the least and the median of 80.
 */
import { spread } from '../src/bench/benchmark.ts'
import { logprobsOf } from '../src/sampler/logprobs.ts'
import { Sampler } from '../src/sampler/sampler.ts'
import type { SamplingOptions } from '../src/sampler/parameters.ts'

const VOCAB = 128256
const usual: SamplingOptions = {
  temperature: 0.8,
  topK: 40,
  topP: 0.95,
  minP: 0.05,
  seed: 1,
  repetitionPenalty: 1,
  repetitionWindow: 64,
  presencePenalty: 0,
  frequencyPenalty: 0
}
const all = { ...usual, topK: 0, topP: 1, minP: 0 }
const sines = (i: number): number =>
  Array.from({ length: 8 }, (_, k) => Math.sin(i * (2 + k * (k + 2) * 0.7))).reduce((a, b) => a + b)
const kinds = {
  flat: Float32Array.from({ length: VOCAB }, (_, i) => Math.sin(i * 12.9) * 3 + Math.cos(i * 0.77) * 2),
  peaked: Float32Array.from({ length: VOCAB }, (_, i) => sines(i) * 1.2 + (i % 9973 === 5 ? 6 + (i % 7) : 0))
}
const history = [1, 2, 3]

function measure(name: string, choose: () => void): void {
  const times = Array.from({ length: 120 }, () => {
    const start = performance.now()
    choose()
    return performance.now() - start
  })
  const { min, median } = spread(times.slice(40))
  process.stdout.write(`  ${name.padEnd(32)} ${min.toFixed(2)} ${median.toFixed(2)}\n`)
}

for (const [kind, logits] of Object.entries(kinds)) {
  process.stdout.write(`${kind} logits\n`)
  measure('log probabilities', () => void logprobsOf(logits, 5, 5))
  for (const [name, options] of Object.entries({
    'top_k 0': all,
    'top_k 0, top_p 0.9': { ...all, topP: 0.9 },
    'top_k 0, top_p 0.99': { ...all, topP: 0.99 },
    'top_k 0, top_p 0.9, temp. 5': { ...all, topP: 0.9, temperature: 5 },
    'top_k 0, top_p 0.9, penalties': { ...all, topP: 0.9, presencePenalty: 1 },
    'by default': usual,
    'by default, penalties': { ...usual, presencePenalty: 1 },
    greedy: { ...usual, temperature: 0 }
  })) {
    const sampler = new Sampler(options)
    measure(name, () => void sampler.choose(logits, history, 2))
  }
}
