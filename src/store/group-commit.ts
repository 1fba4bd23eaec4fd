/**
 * Group commit: calls during a transaction wait and share the next one, so that durability is paid for once. Without
 * load a call does not wait.
 */
import { invariant } from '../lib/errors.ts'

interface Waiting<Op, Answer> {
  readonly op: Op
  readonly resolve: (answer: Answer) => void
  readonly reject: (e: unknown) => void
}

const nextTurn = (): Promise<void> => new Promise(resolve => void setImmediate(resolve))

export class GroupCommit<Op, Answer> {
  #work: (ops: readonly Op[]) => Promise<readonly Answer[]>
  #most: number
  #queue: Waiting<Op, Answer>[] = []
  #running: Promise<void> | undefined

  /**
   * @param work does all of it in one transaction, in order, and gives an answer to each; if it throws, all are
   *   rejected
   * @param most the most that share a transaction
   */
  constructor(work: (ops: readonly Op[]) => Promise<readonly Answer[]>, most: number) {
    this.#work = work
    this.#most = most
  }

  add(op: Op): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    this.#queue.push({ op, resolve, reject })
    this.#running ??= this.#run()
    return promise
  }

  /** Resolves when no transaction runs. */
  async idle(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      await nextTurn() // lets all that has arrived by now join in
      const batch = this.#queue.splice(0, this.#most)
      try {
        const answers = await this.#work(batch.map(w => w.op))
        invariant(answers.length === batch.length, 'a shared transaction gave too few answers')
        batch.forEach((w, i) => w.resolve(answers[i]!))
      } catch (e) {
        batch.forEach(w => w.reject(e))
      }
    }
    this.#running = undefined
  }
}
