/**
 * `DisposableStack` and `AsyncDisposableStack` of ECMAScript 2026 (sections 27.3 and 27.4), as far as Verit uses them.
 * Node 22 has neither. Steps run once each, last first. A step that fails does not stop the others.
 */

type Step = () => unknown

class Steps {
  #steps: Step[] = []

  /** @param step may return a promise in an asynchronous stack, where the next step waits for it */
  defer(step: Step): void {
    this.#steps.push(step)
  }

  protected take(): Step[] {
    const steps = this.#steps.toReversed()
    this.#steps = []
    return steps
  }

  protected fill(steps: readonly Step[]): this {
    this.#steps = steps.toReversed()
    return this
  }
}

export class DisposableStack extends Steps implements Disposable {
  use<T extends Disposable>(value: T): T {
    this.defer(() => value[Symbol.dispose]())
    return value
  }

  /** Hands all steps to another stack; this one has none then. */
  move(): DisposableStack {
    return new DisposableStack().fill(this.take())
  }

  /** @throws the first failure of a step, after all have run */
  dispose(): void {
    const failures: unknown[] = []
    for (const step of this.take()) {
      try {
        step()
      } catch (e) {
        failures.push(e)
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

export class AsyncDisposableStack extends Steps {
  use<T extends Disposable | AsyncDisposable>(value: T): T {
    this.defer(() => (Symbol.asyncDispose in value ? value[Symbol.asyncDispose]() : value[Symbol.dispose]()))
    return value
  }

  /** Hands all steps to another stack; this one has none then. */
  move(): AsyncDisposableStack {
    return new AsyncDisposableStack().fill(this.take())
  }

  /** @throws the first failure of a step, after all have run */
  async disposeAsync(): Promise<void> {
    const failures: unknown[] = []
    for (const step of this.take()) {
      try {
        await step()
      } catch (e) {
        failures.push(e)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}
