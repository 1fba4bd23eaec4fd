/**
 * The scheduler runs many generations on one model. This is the story of the engine; three files tell it: the scheduler
 * (this one), the sequence (sequence.ts) and the page cache (page-cache.ts).
 *
 * 1. Arrival. `VeritEngine.generate` checks a request, makes a `Sequence` of it and submits it here. The sequence waits
 *    in a queue, in order of arrival. A full queue refuses it (VERIT_BUSY).
 * 2. Admission. A sequence needs a slot (a page table of the model) and pages of the KV cache. The page cache promises
 *    it all pages it can ever need: prompt plus `maxTokens`, within the context length. So an answer never stops for
 *    lack of memory. If the tenant's prefix cache holds the beginning of the prompt, the sequence starts with those
 *    pages, and the model need not run their tokens.
 * 3. Steps. The loop repeats one step: it collects rows, runs the plan once, and hands each sequence its logits. A row
 *    is one token at one position. First comes one row for each answer, then pieces of the prompts. While answers run,
 *    prompts get 16 rows in all, so no answer waits long for a prompt.
 * 4. Pages. Before its rows run, a sequence takes pages for them out of its promise. After a run, full pages enter the
 *    tenant's prefix cache.
 * 5. Choice. The last row of a sequence gives the logits of its next token. The sequence gives them to the sampler,
 *    appends the token, turns it into text, and emits an event. Then it has one more token to run: itself the row of
 *    the next step.
 * 6. Drafts. An answer may add draft tokens (speculative decoding by prompt lookup, prompt-lookup.ts) as further rows
 *    of the same step. A row counts only if the row before it chose the token it was run for. The others are dropped
 *    and their positions written over later, so the answer is the same.
 * 7. Back-pressure. A sequence whose reader has 64 unread events is left out of the steps until the reader goes on.
 * 8. End. A sequence ends at an end token, a stop string, its length, an error or a cancellation. Its slot and its
 *    pages are free at once, and the next one in the queue is admitted. Pages in the prefix cache stay until their
 *    memory is needed.
 *
 * Other sequences change when an answer comes, never its content: by the arithmetic contract, logits depend on a
 * sequence's own tokens alone.
 */
import { setImmediate } from 'node:timers/promises'
import { VeritError } from '../lib/errors.ts'
import { draftLimit } from './drafts.ts'
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

  /**
   * @param queue generations that may wait for a slot and room in the cache.
   * @param rowCost see `rowCost`; undefined: no drafts
   */
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

  /** Draft tokens that the model ran, and those of them that were accepted, so far. */
  get drafts(): { drafted: number; accepted: number } {
    return { drafted: this.#drafted, accepted: this.#accepted }
  }

  /** @throws VeritError VERIT_BUSY */
  submit(sequence: Sequence): void {
    const { running, waiting } = this.load
    this.#waiting.add(sequence)
    this.#admit()
    if (this.#waiting.size > this.#queue && this.#waiting.delete(sequence))
      throw new VeritError('VERIT_BUSY', { running, waiting })
    this.wake()
  }

  /** Ends a sequence in any state and frees its slot and pages. Does nothing for an ended one. */
  cancel(sequence: Sequence): void {
    sequence.finish('cancelled')
    this.#release(sequence)
  }

  /** Ends all sequences and waits for the current run. */
  async close(): Promise<void> {
    for (const s of [...this.#waiting, ...this.#active]) this.cancel(s)
    await this.#running
  }

  /** Continues after idling. */
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
      // Lets the event loop run its pending work: cancellations, sockets.
      await setImmediate()
      let batch: Part[]
      try {
        batch = this.#batch()
      } catch (e) {
        const all = [...this.#active] // not those that are admitted in their place
        for (const sequence of all) this.#fail(sequence, e)
        continue
      }
      if (batch.length === 0) {
        // Not a microtask later: an arrival in between would not wake it.
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

  /** Passes a sequence the logits of its rows one by one, as if each had run alone. */
  #accept({ sequence, rows }: Part, logits: readonly Float32Array[]): void {
    if (sequence.finished) return
    const known = rows.length - logits.length
    this.#drafted += Math.max(0, logits.length - 1)
    sequence.evaluated += known
    if (known > 0) sequence.pages!.keep(sequence.ids, sequence.evaluated)
    try {
      for (const [i, own] of logits.entries()) {
        const { id, position } = rows[known + i]!
        // Another token was chosen there, or none: this row and those after it do not count, and are written over
        // later.
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

  /**
   * The next rows of each sequence: first one of every answer, with draft tokens if no prompt waits, then pieces of the
   * prompts.
   */
  #batch(): Part[] {
    const ready = [...this.#active].filter(s => !s.paused)
    const left = (s: Sequence): number => s.ids.length - s.evaluated
    const answers = ready.filter(s => left(s) === 1)
    const prompts = ready.filter(s => left(s) > 1)
    const room = Math.min(this.#model.rows - answers.length, answers.length > 0 ? PROMPT_ROWS : Infinity)
    const drafts = prompts.length === 0 ? draftLimit(answers.length, this.#model.rows) : 0
    return [...answers.map(sequence => this.#part(sequence, 1, drafts)), ...this.#pieces(prompts, room, left)]
  }

  /**
   * Half of the rows serve the oldest prompt, so that it progresses; the other half those with the least left, so that
   * a short prompt need not wait for a long one.
   */
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

  /** @param drafts most draft tokens after the others */
  #part(sequence: Sequence, count: number, drafts = 0): Part {
    const { ids, slot, evaluated: from } = sequence
    const pages = sequence.pages!
    const cost = this.#rowCost
    const draft = cost === undefined || drafts === 0 ? [] : sequence.draft(drafts, cost)
    const run = [...ids.slice(from, from + count), ...draft]
    pages.grow(from + run.length)
    this.#model.setPages(slot, pages.list)
    return {
      sequence,
      rows: run.map((id, i): Row => {
        const position = from + i
        const wanted = position >= ids.length - 1
        const top = wanted ? sequence.neededLogits(draft.slice(0, position + 1 - ids.length)) : 0
        return { id, position, slot, wanted, top }
      })
    }
  }
}
