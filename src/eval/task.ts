/**
 * Tasks of the kinds that lm-eval (EleutherAI's evaluation harness) scores by log-likelihood, with its rules: how texts
 * are cut into tokens, which choice counts as the answer, and the standard error of each metric.
 * Source: lm-eval 0.4, lm_eval/api/{task,model,metrics}.py (facts only).
 */
import { expCore } from '../lib/functions.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import type { Score, ScoreRequest } from './scorer.ts'

export type TaskKind = 'multiple_choice' | 'loglikelihood'

/** A question of a task. */
export interface Example {
  readonly context: string
  /** Continuations to score, with the delimiter before them. Of the kind `loglikelihood`: one, the target. */
  readonly continuations: readonly string[]
  /** Characters of each choice without the delimiter, which `acc_norm` divides by. */
  readonly lengths: readonly number[]
  /** The right one. */
  readonly gold: number
}

export interface Task {
  readonly name: string
  readonly kind: TaskKind
  readonly metrics: readonly MetricName[]
  readonly examples: readonly Example[]
}

/** A mean over the examples, and its standard error: the sample standard deviation over the root of their number. */
export interface Metric {
  readonly value: number
  /** Undefined for one example. */
  readonly stderr: number | undefined
}

type Values = (example: Example, scores: readonly Score[]) => number

/** The first of the largest. */
function largest(values: readonly number[]): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i
  return best
}

const logLikelihoods = (scores: readonly Score[]): number[] => scores.map(({ logLikelihood }) => logLikelihood)

const accuracy: Values = ({ gold }, scores) => (largest(logLikelihoods(scores)) === gold ? 1 : 0)

/** Log-likelihoods divided by the length of their choice. */
const normalised: Values = ({ gold, lengths }, scores) =>
  largest(logLikelihoods(scores).map((value, i) => value / lengths[i]!)) === gold ? 1 : 0

const exact: Values = (_, [score]) => (score!.greedy ? 1 : 0)

const first: Values = (_, [score]) => score!.logLikelihood

/** Metrics by kind of task. */
const METRICS = {
  multiple_choice: { acc: accuracy, acc_norm: normalised },
  loglikelihood: { acc: exact, perplexity: first }
} as const satisfies Record<TaskKind, Record<string, Values>>

export type MetricName = 'acc' | 'acc_norm' | 'perplexity'

export const metricsOf = (kind: TaskKind): readonly MetricName[] => Object.keys(METRICS[kind]) as MetricName[]

/** Whether the scorer must say which continuations are greedy. */
export const needsGreedy = ({ kind, metrics }: Pick<Task, 'kind' | 'metrics'>): boolean =>
  kind === 'loglikelihood' && metrics.includes('acc')

/**
 * Tokens of a context and a continuation. Spaces at the end of the context belong to the continuation, because
 * tokenizers put a space before a word. An empty context is the token that begins or ends a text.
 */
export function encodePair(tokenizer: TextTokenizer, context: string, continuation: string): ScoreRequest {
  if (context === '') {
    const begin = tokenizer.beginOfText ?? tokenizer.endOfText ?? 0
    return { context: Int32Array.of(begin), continuation: tokenizer.encode(continuation) }
  }
  const kept = context.trimEnd()
  const whole = tokenizer.encode(context + continuation)
  const length = tokenizer.encode(kept).length
  return { context: whole.subarray(0, length), continuation: whole.subarray(length) }
}

/** The requests of a task, and how many each example has. */
export function requestsOf(task: Task, tokenizer: TextTokenizer): ScoreRequest[] {
  return task.examples.flatMap(({ context, continuations }) =>
    continuations.map(continuation => encodePair(tokenizer, context, continuation))
  )
}

/** The metrics of a task. @param scores of `requestsOf`, in its order */
export function measure(task: Task, scores: readonly Score[]): Partial<Record<MetricName, Metric>> {
  const result: Partial<Record<MetricName, Metric>> = {}
  const rows: (readonly Score[])[] = []
  let from = 0
  for (const { continuations } of task.examples) rows.push(scores.slice(from, (from += continuations.length)))
  for (const name of task.metrics) {
    const values: Values = (METRICS[task.kind] as Record<string, Values>)[name]!
    const mean = meanOf(task.examples.map((example, i) => values(example, rows[i]!)))
    if (name !== 'perplexity') result[name] = mean
    else {
      // The error of e^-x is that of x times e^-x, to first order.
      const value = expCore(Math.min(700, -mean.value))
      result[name] = { value, stderr: mean.stderr === undefined ? undefined : value * mean.stderr }
    }
  }
  return result
}

/** The mean of values, at least one, and its standard error. */
export function meanOf(values: readonly number[]): Metric {
  const n = values.length
  let sum = 0
  for (const v of values) sum += v
  const value = sum / n
  let square = 0
  for (const v of values) square += (v - value) ** 2
  return { value, stderr: n < 2 ? undefined : Math.sqrt(square / (n - 1) / n) }
}
