/**
 * Runs many generations on one model: each step is one run of the plan over the next token of every answer and pieces of the prompts that wait.
 * Requests join and leave between steps; one joins when there is a slot and room in the cache for all it can come to need, in the order of arrival.
 * Who else is there changes when an answer comes, never what it says. An answer may bring guesses of its next tokens along (prompt-lookup.ts); what is chosen is the same: a row counts only
 * if the token that it was run for is the one that the row before it has chosen.
 */
import { setImmediate } from 'node:timers/promises'
import { VeritError } from '../lib/errors.ts'
import { guessRoom } from './guess-room.ts'
import { neededLogits } from './needed-logits.ts'
import type { PageCache } from './page-cache.ts'
import type { Sequence } from './sequence.ts'
import type { Row, ServingModel } from './serving-model.ts'

/** Most rows of prompts in a step that also makes answers: a token of an answer waits for no more than these. */
const PROMPT_ROWS = 16

interface Part {
  readonly sequence: Sequence
  readonly rows: Row[]
}

export class Scheduler {
  #model: ServingModel
  #cache: PageCache
  #queue: number
  #free: number[]
  /** In order of arrival. */
  #active = new Set<Sequence>()
  #waiting = new Set<Sequence>()
  #running: Promise<void> | undefined
  #rowCost: number | undefined
  #drafted = 0
  #accepted = 0

  /** @param queue generations that may wait for a slot and room in the cache. @param rowCost see `rowCost`; undefined: nothing is guessed */
  constructor(model: ServingModel, cache: PageCache, queue: number, rowCost: number | undefined) {
    this.#model = model
    this.#cache = cache
    this.#queue = queue
    this.#rowCost = rowCost
    this.#free = Array.from({ length: model.slots }, (_, s) => model.slots - 1 - s)
  }

  /** Generations that compute, and that wait. */
  get load(): { running: number; waiting: number } {
    return { running: this.#active.size, waiting: this.#waiting.size }
  }

  /** Tokens that were guessed and run, and those of them that were chosen, so far. */
  get guesses(): { drafted: number; accepted: number } {
    return { drafted: this.#drafted, accepted: this.#accepted }
  }

  /** @throws VeritError VERIT_BUSY */
  submit(sequence: Sequence): void {
    const { running, waiting } = this.load
    this.#waiting.add(sequence)
    this.#admit()
    if (this.#waiting.size > this.#queue && this.#waiting.delete(sequence)) throw new VeritError('VERIT_BUSY', { running, waiting })
    this.wake()
  }

  /** Ends a sequence, whatever it was doing; its slot and its pages are free at once. Nothing happens to one that has ended. */
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
    if (this.#active.delete(sequence)) {
      this.#free.push(sequence.slot)
      sequence.pages?.close()
    }
    this.#admit()
  }

  #admit(): void {
    for (const s of this.#waiting) {
      const slot = this.#free.at(-1)
      const pages = slot === undefined ? undefined : this.#cache.open(s.request.prompt, s.mostPositions, s.tenant)
      if (slot === undefined || pages === undefined) return
      this.#free.pop()
      this.#waiting.delete(s)
      this.#active.add(s)
      s.begin(slot, pages)
      if (s.finished) this.#release(s)
    }
  }

  async #loop(): Promise<void> {
    for (;;) {
      // Lets what waits for the event loop happen: cancellations, sockets.
      await setImmediate()
      let batch: Part[]
      try {
        batch = this.#batch()
      } catch (e) {
        const all = [...this.#active] // who comes in their place has done nothing wrong
        for (const sequence of all) this.#fail(sequence, e)
        continue
      }
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
      for (const part of batch) this.#accept(part, logits.splice(0, part.rows.filter(r => r.wanted).length))
    }
  }

  /** Goes on with what a run gave a sequence, row by row, as if each had been run by itself. */
  #accept({ sequence, rows }: Part, logits: readonly Float32Array[]): void {
    if (sequence.finished) return
    const known = rows.length - logits.length
    this.#drafted += Math.max(0, logits.length - 1)
    sequence.evaluated += known
    if (known > 0) sequence.pages!.keep(sequence.ids, sequence.evaluated)
    try {
      for (const [i, own] of logits.entries()) {
        const { id, position } = rows[known + i]!
        // Another token was chosen there, or none: what was run for this one, and after it, does not count, and is written over later.
        if (sequence.finished || sequence.ids[position] !== id) break
        if (i > 0) this.#accepted++
        sequence.pages!.keep(sequence.ids, ++sequence.evaluated)
        sequence.accept(own)
      }
      if (sequence.finished) this.#release(sequence)
    } catch (e) {
      this.#fail(sequence, e)
    }
  }

  #fail(sequence: Sequence, error: unknown): void {
    if (!sequence.finished) sequence.fail(error)
    this.#release(sequence)
  }

  /** The next rows of each sequence: first one of every answer, with guesses where no prompt waits, then pieces of the prompts. */
  #batch(): Part[] {
    const ready = [...this.#active].filter(s => !s.paused), left = (s: Sequence): number => s.ids.length - s.evaluated
    const answers = ready.filter(s => left(s) === 1), prompts = ready.filter(s => left(s) > 1)
    const room = Math.min(this.#model.rows - answers.length, answers.length > 0 ? PROMPT_ROWS : Infinity)
    const guesses = prompts.length === 0 ? guessRoom(answers.length, this.#model.rows) : 0
    return [...answers.map(sequence => this.#part(sequence, 1, guesses)), ...this.#pieces(prompts, room, left)]
  }

  /** Half of the room is for the prompt that came first, so that it gets on; the other half for those that have the least left, so that a short one need not wait for a long one. */
  #pieces(prompts: readonly Sequence[], room: number, left: (s: Sequence) => number): Part[] {
    const [first, ...others] = prompts
    if (first === undefined || room <= 0) return []
    const shares = new Map([[first, Math.min(left(first), Math.ceil(room / 2))]])
    let rest = room - shares.get(first)!
    for (const s of others.sort((a, b) => left(a) - left(b))) {
      if (rest === 0) break
      shares.set(s, Math.min(left(s), rest))
      rest -= shares.get(s)!
    }
    shares.set(first, Math.min(left(first), shares.get(first)! + rest))
    return [...shares].map(([sequence, rows]) => this.#part(sequence, rows))
  }

  #part(sequence: Sequence, count: number, guesses = 0): Part {
    const { ids, slot, evaluated: from } = sequence, pages = sequence.pages!, cost = this.#rowCost
    const run = [...ids.slice(from, from + count), ...cost === undefined || guesses === 0 ? [] : sequence.guess(guesses, cost)]
    pages.grow(from + run.length)
    this.#model.setPages(slot, pages.list)
    return {
      sequence,
      rows: run.map((id, i): Row => ({ id, position: from + i, slot, wanted: from + i >= ids.length - 1, top: neededLogits(sequence.request, from + i + 1, sequence.unusedTokens) })),
    }
  }
}
