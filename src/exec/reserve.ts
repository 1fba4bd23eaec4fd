/**
 * Memory for the weights of a model, prepared before the model may be read. The system clears every page before first
 * use, which for a gigabyte takes a noticeable part of a second (whole seconds on virtual machines). A thread does it
 * while the file is hashed.
 */
import { freemem } from 'node:os'
import { addon } from './native.ts'
import type { Executor } from './plan.ts'

/** Smaller files are not worth it. */
const LEAST = 2 ** 26
/**
 * Size of the weights in memory relative to their file: at least, and at most with output-head screening. Other formats
 * use no reserve, or only a part.
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
   * Returns the memory once, if that many bytes fit and use most of it; it may be longer. Bytes that are not ready will
   * be soon. If nobody asks, it is freed.
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

/** The limit of a container may exceed the memory of its machine. */
const freeMemory = (): number => Math.min(process.availableMemory(), freemem())
