/**
 * How many guessed tokens an answer may bring along, by how many answers the step has and nothing else: a share that grew or shrank with what others guess would tell each of them, in the
 * groups that its tokens come in, when another's text repeats itself.
 */

/** Of one answer alone: kernels take up to eight rows at once. */
export const MOST_GUESSES = 7
/** By the number of answers. One row more for each of two delays neither much; three and more would wait for each other's. */
const ROOM = [0, MOST_GUESSES, 1]

/** @param rows of a step at most */
export const guessRoom = (answers: number, rows: number): number => Math.min(ROOM[answers] ?? 0, Math.floor(rows / Math.max(answers, 1)) - 1)
