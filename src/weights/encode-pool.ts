/**
 * Encodes slices of matrices on several threads. The bytes do not depend on the number of threads, because a slice is
 * whole rows and blocks never cross rows.
 */
import { Worker } from 'node:worker_threads'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { encodeSlice } from './encode-job.ts'
import type { EncodeJob, Encoded } from './encode-job.ts'

/** Weights below which starting threads takes longer than the work. */
const WORTH_THREADS = 1 << 23

interface Waiting {
  readonly job: EncodeJob
  readonly name: string
  resolve(result: Encoded): void
  reject(reason: unknown): void
}

const FILE = new URL(import.meta.url.endsWith('.ts') ? './encode-worker.ts' : './encode-worker.js', import.meta.url)

export class EncodePool implements AsyncDisposable {
  /** Slices to have under way, so that every thread has the next one at hand. */
  readonly depth: number
  #workers: Worker[]
  #idle: Worker[]
  #running = new Map<Worker, Waiting>()
  #queue: Waiting[] = []

  /**
   * @param threads at least 1
   * @param weights of all slices; for a few, no thread is started
   */
  constructor(threads: number, weights: number) {
    const count = weights < WORTH_THREADS ? 0 : threads
    this.#workers = Array.from({ length: count }, () => this.#start())
    this.#idle = [...this.#workers]
    this.depth = Math.max(1, 2 * count)
  }

  /**
   * @param job its values are moved to the thread and are empty afterwards
   * @param name of the tensor, for errors
   * @throws VeritError VERIT_TENSOR for a value that does not fit into the type
   */
  async encode(job: EncodeJob, name: string): Promise<Encoded> {
    if (this.#workers.length === 0) return checked(encodeSlice(job), name)
    return await new Promise((resolve, reject) => {
      this.#queue.push({ job, name, resolve, reject })
      this.#next()
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map(worker => worker.terminate()))
  }

  #next(): void {
    while (this.#idle.length > 0 && this.#queue.length > 0) {
      const worker = this.#idle.pop()!
      const waiting = this.#queue.shift()!
      this.#running.set(worker, waiting)
      worker.postMessage(waiting.job, [waiting.job.values.buffer])
    }
  }

  #start(): Worker {
    const worker = new Worker(FILE)
    worker.on('message', (result: Encoded | string) => this.#done(worker, result))
    worker.on('error', e => {
      for (const waiting of [...this.#running.values(), ...this.#queue.splice(0)]) waiting.reject(e)
    })
    return worker
  }

  #done(worker: Worker, result: Encoded | string): void {
    const { name, resolve, reject } = this.#running.get(worker)!
    this.#running.delete(worker)
    this.#idle.push(worker)
    this.#next()
    try {
      resolve(checked(result, name))
    } catch (e) {
      reject(e)
    }
  }
}

function checked(result: Encoded | string, name: string): Encoded {
  if (typeof result === 'string') throw new VeritError('VERIT_TENSOR', { tensor: printable(name), problem: result })
  return result
}
