/** A finding of `verit doctor`: level, subject, sentence and remedy. */

/**
 * `note`: worth knowing; `warning`: weakens the server, or soon will; `problem`: it does not work, or others can reach
 * or read too much.
 */
export const levels = ['ok', 'note', 'warning', 'problem'] as const
export type Level = (typeof levels)[number]

export interface Finding {
  /** Stable name of the check, for programs: `state.mode`, `keys.age`. */
  readonly check: string
  readonly level: Level
  /** One sentence without a full stop. Names from files and keys are not escaped: escape before printing. */
  readonly says: string
  /** The remedy in one sentence without a full stop. Every warning and problem has one. */
  readonly fix?: string
}

export const ok = (check: string, says: string): Finding => ({ check, level: 'ok', says })
export const note = (check: string, says: string, fix?: string): Finding => ({
  check,
  level: 'note',
  says,
  ...(fix !== undefined && { fix })
})
export const warning = (check: string, says: string, fix: string): Finding => ({ check, level: 'warning', says, fix })
export const problem = (check: string, says: string, fix: string): Finding => ({ check, level: 'problem', says, fix })
