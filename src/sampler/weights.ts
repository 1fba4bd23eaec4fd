/**
 * Weights of tokens in a choice (docs/internals/generation.md): their probabilities times a constant, such that the
 * most probable weighs 1.
 */
import { expCore } from '../lib/functions.ts'

// V8 reads an imported or exported binding at each use, which would take a third of the time here: loops over the
// vocabulary use module-local variables.
const exp = expCore

/** e^x for x <= 0, and 0 where that is below 1e-300. */
const expNegative = (x: number): number => (x < -690 ? 0 : exp(x))

/** @param max the largest score */
export const weightOf = (score: number, max: number, temperature: number): number =>
  expNegative((score - max) / temperature)

/** Fills `weight` with those of the scores. @returns their sum, by ascending index */
export function weigh(score: Float64Array, weight: Float64Array, max: number, temperature: number): number {
  let total = 0
  for (let i = 0; i < score.length; i++) total += weight[i] = expNegative((score[i]! - max) / temperature)
  return total
}

/** The sum of the weights of logits at temperature 1, by ascending index. */
export function sumOfWeights(logits: Float32Array, max: number): number {
  let total = 0
  for (let i = 0; i < logits.length; i++) total += expNegative(logits[i]! - max)
  return total
}

/** Sets weights below `least` to 0. @returns the sum of the others, by ascending index */
export function dropBelow(weight: Float64Array, least: number): number {
  let total = 0
  for (let i = 0; i < weight.length; i++) {
    if (weight[i]! < least) weight[i] = 0
    else total += weight[i]!
  }
  return total
}
