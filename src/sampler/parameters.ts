/**
 * The sampling parameters: one row a parameter, with its range, its default and its line of help. Types, checks, frames
 * of the runner and options of the command line follow from these rows.
 */

export interface SamplingParameter {
  readonly low: number
  readonly high: number
  /** The default. A negative seed stands for a random one. */
  readonly fallback: number
  /** Only whole numbers. */
  readonly whole?: true
  /** Placeholder and meaning of the option on the command line. */
  readonly value: string
  readonly help: string
}

export const samplingParameters = {
  /** Divides the logits, 0 to 10. 0 takes the largest logit, and of equal ones the lowest id. Default 0.8. */
  temperature: { low: 0, high: 10, fallback: 0.8, value: 'x', help: 'sampling temperature; 0 is greedy' },
  /** Keeps this many of the most probable tokens, 0 (off) to 2^20. Default 40. */
  topK: {
    low: 0,
    high: 1 << 20,
    fallback: 40,
    whole: true,
    value: 'n',
    help: 'sample from the n most probable tokens, 0 for all'
  },
  /** Keeps the most probable tokens that hold this probability mass, 0 to 1 (off). At least one stays. Default 0.95. */
  topP: {
    low: 0,
    high: 1,
    fallback: 0.95,
    value: 'p',
    help: 'sample from the most probable tokens that hold this probability mass'
  },
  /** Keeps tokens with at least this fraction of the highest probability, 0 (off) to 1. Default 0.05. */
  minP: {
    low: 0,
    high: 1,
    fallback: 0.05,
    value: 'p',
    help: 'sample from tokens with at least this fraction of the highest probability'
  },
  /**
   * Divides positive logits and multiplies the others, for tokens among the last `repetitionWindow` of prompt and
   * answer, 0.1 to 10; 1 is off. Default 1.
   */
  repetitionPenalty: {
    low: 0.1,
    high: 10,
    fallback: 1,
    value: 'x',
    help: 'factor that penalizes recent tokens, 1 for none'
  },
  /** Tokens the repetition penalty considers, 0 (off) to 2^20. Default 64. */
  repetitionWindow: {
    low: 0,
    high: 1 << 20,
    fallback: 64,
    whole: true,
    value: 'n',
    help: 'number of recent tokens that the repetition penalty considers'
  },
  /** Subtracted from the logit of each token that the answer holds, -2 to 2. Default 0. */
  presencePenalty: { low: -2, high: 2, fallback: 0, value: 'x', help: 'penalty for tokens that occur in the answer' },
  /** Subtracted from a token's logit once for each time the answer holds it, -2 to 2. Default 0. */
  frequencyPenalty: { low: -2, high: 2, fallback: 0, value: 'x', help: 'penalty for each occurrence in the answer' },
  /** 0 to 2^53 - 1. The same seed repeats an answer. Default: a random one, which the start event tells. */
  seed: {
    low: 0,
    high: Number.MAX_SAFE_INTEGER,
    fallback: -1,
    whole: true,
    value: 'n',
    help: 'seed of sampling; the same seed repeats an answer (default: random, and printed)'
  }
} as const satisfies Readonly<Record<string, SamplingParameter>>

type Names = typeof samplingParameters

/** All sampling parameters of a checked request. */
export type SamplingOptions = { readonly [K in keyof Names]: number }

/** Sampling parameters as a caller gives them; absent ones take their defaults. */
export type SamplingRequest = { -readonly [K in keyof Names]?: number | undefined }
