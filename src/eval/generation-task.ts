/**
 * Tasks whose answers are generated and compared with a target, by the rules of lm-eval (`generate_until`,
 * `exact_match`), and figures of the texts themselves. Source: lm-eval 0.4, lm_eval/filters/extraction.py and
 * lm_eval/api/metrics.py (facts only).
 */
import { meanOf } from './task.ts'
import type { Metric } from './task.ts'

/** A question whose answer is generated. */
export interface GenerationExample {
  readonly context: string
  readonly target: string
}

/** How the compared part of an answer is found. */
export interface AnswerFilter {
  readonly name: string
  /** Undefined where the answer has no such part. */
  readonly extract: (answer: string) => string | undefined
}

export interface GenerationTask {
  readonly name: string
  readonly kind: 'generate_until'
  readonly examples: readonly GenerationExample[]
  /** Texts that end an answer. */
  readonly until: readonly string[]
  /** Tokens of an answer at most. */
  readonly maxTokens: number
  readonly filters: readonly AnswerFilter[]
  /** Parts that are taken out of answers and targets before they are compared. */
  readonly ignore: readonly RegExp[]
  readonly ignoreCase: boolean
  readonly ignorePunctuation: boolean
}

export interface Answer {
  readonly text: string
  readonly tokens: number
  /** Seconds of its generation, without the prompt. */
  readonly seconds: number
}

/** lm-eval's word for an answer without the part that a filter looks for. */
const INVALID = '[invalid]'

/** The whole answer. */
export const wholeAnswer: AnswerFilter = { name: 'none', extract: answer => answer }

/** ASCII punctuation, as Python's `string.punctuation`. */
const PUNCTUATION = /[!-/:-@[-`{-~]/g

function comparable(text: string, { ignore, ignoreCase, ignorePunctuation }: GenerationTask): string {
  let kept = text
  for (const pattern of ignore) kept = kept.replaceAll(pattern, '')
  if (ignoreCase) kept = kept.toLowerCase()
  return ignorePunctuation ? kept.replaceAll(PUNCTUATION, '') : kept
}

/** `exact_match` by filter, and figures of the answers: tokens, repeated word pairs, tokens per second. */
export function measureAnswers(task: GenerationTask, answers: readonly Answer[]): Record<string, Metric> {
  const metrics: Record<string, Metric> = {}
  for (const filter of task.filters) {
    const name = filter === wholeAnswer ? 'exact_match' : `exact_match,${filter.name}`
    metrics[name] = meanOf(
      task.examples.map(({ target }, i) => {
        const found = filter.extract(answers[i]!.text) ?? INVALID
        return comparable(found, task) === comparable(target, task) ? 1 : 0
      })
    )
  }
  metrics['tokens'] = meanOf(answers.map(({ tokens }) => tokens))
  metrics['repetition'] = meanOf(answers.map(({ text }) => repetition(text)))
  const seconds = answers.reduce((sum, answer) => sum + answer.seconds, 0)
  const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0)
  metrics['tokens_per_second'] = { value: seconds === 0 ? 0 : tokens / seconds, stderr: undefined }
  return metrics
}

/** Share of the pairs of neighbouring words that occurred before, 0 to 1. */
function repetition(text: string): number {
  const words = text.split(/\s+/).filter(word => word !== '')
  const pairs = words.slice(1).map((word, i) => `${words[i]!} ${word}`)
  return pairs.length === 0 ? 0 : 1 - new Set(pairs).size / pairs.length
}

/** The last match of a pattern, or the first; of several groups the first that is not empty. */
const matched = (pattern: RegExp, last: boolean) => (answer: string) => {
  const match = [...answer.matchAll(pattern)].at(last ? -1 : 0)
  return match === undefined
    ? undefined
    : (match.slice(1).find(group => group !== undefined && group !== '') ?? match[0])?.trim()
}

/** GSM8K: question and answer, whose last line is "#### NUMBER". */
export const gsm8k: Omit<GenerationTask, 'name' | 'examples'> = {
  kind: 'generate_until',
  until: ['Question:', '</s>', '<|im_end|>'],
  maxTokens: 256,
  filters: [
    { name: 'strict-match', extract: matched(/#### (-?[0-9.,]+)/g, false) },
    { name: 'flexible-extract', extract: matched(/(-?[$0-9.,]{2,})|(-?[0-9]+)/g, true) }
  ],
  ignore: [/,/g, /\$/g, /.*#### /gs, /\.$/g],
  ignoreCase: true,
  ignorePunctuation: false
}

/** An example of GSM8K; undefined for other objects. */
export const gsm8kExample = ({ question, answer }: Readonly<Record<string, unknown>>): GenerationExample | undefined =>
  typeof question === 'string' && typeof answer === 'string' && answer.includes('#### ')
    ? { context: `Question: ${question}\nAnswer:`, target: answer }
    : undefined
