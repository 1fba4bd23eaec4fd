/** The problems of a file, for readers that continue after a fault: `verit inspect --strict` lists all of them. */
import { VeritError } from './errors.ts'

export interface Problem {
  /** Part of a sentence, safe to print. */
  readonly problem: string
  /** Byte in the file, where the format has one. */
  readonly offset?: number
}

/** A hostile file can be wrong in millions of places. */
const SHOWN = 1000

export class ProblemList {
  readonly shown: Problem[] = []
  /** Problems beyond the first 1,000. */
  more = 0

  add(problem: string, offset?: number): void {
    if (this.shown.length < SHOWN) this.shown.push({ problem, ...(offset !== undefined && { offset }) })
    else this.more++
  }

  get none(): boolean {
    return this.shown.length === 0
  }

  /** Runs one check; a VeritError becomes a problem, anything else is thrown. */
  async attempt<T>(
    check: () => T | Promise<T>,
    describe: (e: VeritError) => Problem = e => ({ problem: e.what })
  ): Promise<T | undefined> {
    try {
      return await check()
    } catch (e) {
      if (!VeritError.is(e) || e.code === 'VERIT_INTERNAL') throw e
      const { problem, offset } = describe(e)
      this.add(problem, offset)
      return undefined
    }
  }
}
