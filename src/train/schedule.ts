/**
 * The learning rate and weight decay of a step, in f64 with our own cosine, so that every machine computes the same.
 * 'cosine': linear warm-up, then half a cosine down to a floor (as nanoGPT). 'two-stage': the BitNet b1.58 recipe
 * (microsoft/unilm, "The Era of 1-bit LLMs: Training Tips, Code and FAQ"): linear decay from the peak; at half the
 * steps the rate falls to the line that starts from a lower peak and weight decay ends.
 */
import { cosCore } from '../lib/functions.ts'

export interface ScheduleOptions {
  readonly schedule: 'cosine' | 'two-stage'
  /** Optimizer steps of the whole run. */
  readonly steps: number
  /** Steps of linear warm-up. */
  readonly warmup: number
  /** Peak learning rate. */
  readonly lr: number
  /** 'cosine': the rate at the end. 'two-stage': the peak that the second half follows. */
  readonly lrFloor: number
  readonly weightDecay: number
}

/** @param step counted from 0. */
export function scheduleAt(options: ScheduleOptions, step: number): { lr: number; weightDecay: number } {
  const { schedule, steps, warmup, lr, lrFloor, weightDecay } = options
  const second = schedule === 'two-stage' && 2 * step >= steps
  const decay = second ? 0 : weightDecay
  if (step < warmup) return { lr: (lr * (step + 1)) / (warmup + 1), weightDecay: decay }
  const share = steps > warmup ? Math.min(1, (step - warmup) / (steps - warmup)) : 1
  if (schedule === 'two-stage') return { lr: (second ? lrFloor : lr) * (1 - share), weightDecay: decay }
  return { lr: lrFloor + (lr - lrFloor) * (0.5 * (1 + cosCore(3.141592653589793 * share))), weightDecay: decay }
}
