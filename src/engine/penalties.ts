/** Penalties on tokens that occurred before: repetition (Keskar et al. 2019, CTRL), presence and frequency (as OpenAI's API defines them). */

export interface Penalties {
  /** Divides positive and multiplies negative logits of tokens among the last `repetitionWindow` of prompt and answer; 1 changes nothing. */
  readonly repetitionPenalty: number
  /** 0 turns the repetition penalty off. */
  readonly repetitionWindow: number
  /** Taken from the logit of each token that the answer holds. */
  readonly presencePenalty: number
  /** Taken from a token's logit once for each time it occurs in the answer. */
  readonly frequencyPenalty: number
}

/** Whether any of them can change a score. */
export const penalizes = (p: Penalties): boolean => (p.repetitionPenalty !== 1 && p.repetitionWindow > 0) || p.presencePenalty !== 0 || p.frequencyPenalty !== 0

/** Applies repetition, then frequency and presence together. @param promptTokens where the answer begins in `ids` */
export function penalize(scores: Float64Array, ids: readonly number[], promptTokens: number, p: Penalties): void {
  if (p.repetitionPenalty !== 1 && p.repetitionWindow > 0) {
    for (const id of new Set(ids.slice(-p.repetitionWindow))) {
      const score = scores[id]!
      scores[id] = score > 0 ? score / p.repetitionPenalty : score * p.repetitionPenalty
    }
  }
  if (p.presencePenalty === 0 && p.frequencyPenalty === 0) return
  const counts = new Map<number, number>()
  for (let i = promptTokens; i < ids.length; i++) counts.set(ids[i]!, (counts.get(ids[i]!) ?? 0) + 1)
  for (const [id, count] of counts) scores[id]! -= p.frequencyPenalty * count + p.presencePenalty
}
