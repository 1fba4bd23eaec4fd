/**
 * Runs many generations on one model: each step is one run of the plan over the next token of every answer and pieces of the prompts that wait.
 * Requests join and leave between steps. Who else is there changes when an answer comes, never what it says.
 */
import { setImmediate } from 'node:timers/promises'
import { VeritError } from '../lib/errors.ts'
import type { Sequence } from './sequence.ts'
import type { Row, ServingModel } from './serving-model.ts'

export class Scheduler {
  #model: ServingModel
  #queue: number
  #free: number[]
  /** In order of arrival. */
  #active = new Set<Sequence>()
  #waiting = new Set<Sequence>()
  #running: Promise<void> | undefined

  /** @param queue generations that may wait for a slot */
  constructor(model: ServingModel, queue: number) {
    this.#model = model
    this.#queue = queue
    this.#free = Array.from({ length: model.slots }, (_, s) => model.slots - 1 - s)
  }

  /** Generations that compute, and that wait. */
  get load(): { running: number; waiting: number } {
    return { running: this.#active.size, waiting: this.#waiting.size }
  }

  /** @throws VeritError VERIT_BUSY */
  submit(sequence: Sequence): void {
    const { running, waiting } = this.load
    if (this.#free.length === 0 && waiting >= this.#queue) throw new VeritError('VERIT_BUSY', { running, waiting })
    this.#waiting.add(sequence)
    this.#admit()
    this.wake()
  }

  /** Ends a sequence, whatever it was doing; its slot is free at once. Nothing happens to one that has ended. */
  cancel(sequence: Sequence): void {
    sequence.finish('cancelled')
    this.#release(sequence)
  }

  /** Ends all of them and waits for the run under way. */
  async close(): Promise<void> {
    for (const s of [...this.#waiting, ...this.#active]) this.cancel(s)
    await this.#running
  }

  /** Goes on when it had nothing to do. */
  wake(): void {
    this.#running ??= this.#loop()
  }

  #release(sequence: Sequence): void {
    this.#waiting.delete(sequence)
    if (this.#active.delete(sequence)) this.#free.push(sequence.slot)
    this.#admit()
  }

  #admit(): void {
    for (const s of this.#waiting) {
      const slot = this.#free.pop()
      if (slot === undefined) return
      this.#waiting.delete(s)
      this.#active.add(s)
      s.begin(slot)
      if (s.finished) this.#release(s)
    }
  }

  async #loop(): Promise<void> {
    for (;;) {
      // Lets what waits for the event loop happen: cancellations, sockets.
      await setImmediate()
      const batch = this.#batch()
      if (batch.length === 0) {
        // Not a microtask later: what comes in between would not wake it.
        this.#running = undefined
        return
      }
      let logits: Float32Array[]
      try {
        logits = await this.#model.run(batch.flatMap(part => part.rows))
      } catch (e) {
        for (const { sequence } of batch) this.#fail(sequence, e)
        continue
      }
      for (const { sequence, rows } of batch) {
        sequence.evaluated += rows.length
        if (!rows.at(-1)!.wanted) continue
        const own = logits.shift()!
        if (sequence.finished) continue
        try {
          sequence.accept(own)
          if (sequence.finished) this.#release(sequence)
        } catch (e) {
          this.#fail(sequence, e)
        }
      }
    }
  }

  #fail(sequence: Sequence, error: unknown): void {
    if (!sequence.finished) sequence.fail(error)
    this.#release(sequence)
  }

  /** The next rows of each sequence: first one of every answer, then as much of the prompts as fits. */
  #batch(): { sequence: Sequence; rows: Row[] }[] {
    const ready = [...this.#active].filter(s => !s.paused)
    const pending = (s: Sequence): number => s.ids.length - s.evaluated
    let room = this.#model.rows
    const order = [...ready.filter(s => pending(s) === 1), ...ready.filter(s => pending(s) > 1)]
    return order.map(sequence => {
      const from = sequence.evaluated
      const piece = sequence.ids.slice(from, from + room)
      room -= piece.length
      return {
        sequence,
        rows: piece.map((id, i): Row => ({ id, position: from + i, slot: sequence.slot, wanted: from + i === sequence.ids.length - 1 })),
      }
    }).filter(part => part.rows.length > 0)
  }
}
