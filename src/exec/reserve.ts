/**
 * Memory for a model's weights that is made ready before the model may be read: the system clears every page before it
 * gives it away, which for a gigabyte takes a noticeable part of a second (on virtual machines whole seconds), and is
 * done here by a thread of its own while the file is hashed.
 */
import { freemem } from 'node:os'
import { addon } from './native.ts'
import type { Executor } from './plan.ts'

/** Smaller files are not worth it. */
const LEAST = 2 ** 26
/**
 * Weights as they are kept, relative to their file: at least, and with a screened head at most. Other forms take no
 * reserve, or leave some of it.
 */
const READY = 0.85
const MOST = 1.25

export class Reserve {
  #memory: ArrayBuffer | undefined
  #ready: number

  /**
   * @param fileBytes size of the model's file. @param free bytes of memory that are free: never more than half of them
   * are made ready
   */
  constructor(fileBytes: number, free = freeMemory()) {
    this.#ready = Math.floor(fileBytes * READY)
    const native = process.platform === 'linux' && fileBytes >= LEAST && this.#ready <= free / 2 ? addon() : undefined
    try {
      this.#memory = native?.allocate(Math.floor(fileBytes * MOST), false)
      if (this.#memory !== undefined) native!.populate(this.#memory, 0, this.#ready)
    } catch {
      this.#memory = undefined // the limits of this process, perhaps: it is for speed alone
    }
  }

  /** Bytes that it holds, ready or not. */
  get bytes(): number {
    return this.#memory?.byteLength ?? 0
  }

  /**
   * The memory, once, if that many bytes fit and use most of it; it may be longer. What is not ready of these bytes
   * will be soon. Whoever asks first has it, or nobody has: then it is given back.
   */
  take(bytes: number): ArrayBuffer | undefined {
    if (bytes > this.bytes || bytes < 0.9 * this.#ready) this.drop()
    const memory = this.#memory
    if (memory !== undefined && bytes > this.#ready) addon()!.populate(memory, this.#ready, bytes)
    this.#memory = undefined
    return memory
  }

  /** An executor whose first allocation, the weights, takes the reserve. */
  before(executor: Executor): Executor {
    const allocate = (bytes: number, sparse?: boolean): ArrayBuffer =>
      (sparse === true ? undefined : this.take(bytes)) ?? executor.allocate(bytes, sparse)
    return { ...executor, allocate }
  }

  /** Gives the memory back to the system, when the event loop comes around: a collection of garbage may be far off. */
  drop(): void {
    this.#memory?.transfer(0)
    this.#memory = undefined
  }
}

/** What a container leaves may be more than its machine has. */
const freeMemory = (): number => Math.min(process.availableMemory(), freemem())
