/** Steps that take back what was done, the last one first. Node 22 has no `AsyncDisposableStack`, whose members these are. */

type Step = () => unknown

export class UndoStack {
  #steps: Step[] = []

  defer(step: Step): void {
    this.#steps.push(step)
  }

  use<T extends Disposable>(value: T): T {
    this.#steps.push(() => value[Symbol.dispose]())
    return value
  }

  /** Hands all steps to another stack; this one has none then. */
  move(): UndoStack {
    const other = new UndoStack()
    other.#steps = this.#steps
    this.#steps = []
    return other
  }

  /** Runs each step once, the next when the one before is done. A step that fails stops none. @throws the first failure */
  async disposeAsync(): Promise<void> {
    const failures: unknown[] = []
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step()
      } catch (e) {
        failures.push(e)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}
