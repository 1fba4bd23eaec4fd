/**
 * Limits the draft tokens of an answer by the number of answers in the step and by nothing else. A limit that depended
 * on other answers' drafts would be a side channel: the groups in which tokens arrive would show when another answer
 * repeats itself.
 */

/** Limit for an answer that runs alone: kernels take up to eight rows. */
export const MOST_DRAFT_TOKENS = 7
/**
 * By the number of answers. Two answers with one more row each delay each other little; three and more would wait for
 * each other's rows.
 */
const LIMITS = [0, MOST_DRAFT_TOKENS, 1]

/** Draft tokens that each answer may add to a step. @param rows maximum rows of a step */
export const draftLimit = (answers: number, rows: number): number =>
  Math.min(LIMITS[answers] ?? 0, Math.floor(rows / Math.max(answers, 1)) - 1)
