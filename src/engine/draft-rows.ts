/** How many guessed tokens each answer of a step may bring along, so that no answer waits much longer for another's guesses. */
import { LONG, SHORT } from './guess-record.ts'

/** Rows that cost hardly more than two. */
const GROUP = SHORT + 1
/** Answers of a step that has guesses, at most. */
export const MOST_GUESSING = GROUP - 1
/** Rows that a step with guesses has at most. */
export const MOST_GUESSED_ROWS = LONG + 1

/**
 * One answer alone, and two or three that all ask for LONG, may fill eight rows; otherwise two or three fill four, which makes no step much longer. From four answers on there is no room:
 * another row would delay all of them.
 * @param wishes tokens that each answer of the step asks for. @param rows of the step at most. @param turn counts steps, so that it is not always the same who comes first
 */
export function draftRows(wishes: readonly number[], rows: number, turn: number): number[] {
  const n = wishes.length, given = wishes.map(() => 0), wide = n === 1 || wishes.every(w => w === LONG)
  let room = Math.min(n > MOST_GUESSING ? 0 : wide ? MOST_GUESSED_ROWS : GROUP, rows) - n
  for (let i = turn, idle = 0; room > 0 && idle < n; i++) {
    const at = i % n
    if (given[at]! < wishes[at]!) {
      given[at]!++
      room--
      idle = 0
    } else idle++
  }
  return given
}
