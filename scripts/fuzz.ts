/**
 * Fuzzes what reads files and frames: `node scripts/fuzz.ts
 * gguf|safetensors|tokenizer|sentencepiece|template|frames|all --seconds 60 --seed 1 --workers 2`, or until `--inputs
 * 2000000` are done. Counts inputs and findings: a crash (anything but a VeritError, or a worker that ends), a hang
 * (over a second of processor time), an allocation (the heap and buffers of the worker grow by more than the target's
 * limit over one input). A finding is saved in test/fuzz-findings, which test/fuzz.test.ts runs again. The same seed
 * gives the same inputs: input n is made from the seed and n alone. Exit status 1 when something was found.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { getHeapStatistics } from 'node:v8'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { Progress } from '../src/lib/progress.ts'
import { accepted, targets } from './fuzz-targets.ts'

const HANG_MS = 1000
/**
 * Bytes one input may leave behind, and mebibytes of a worker's heap. A step of a template may make 512 Mi characters
 * before it is refused.
 */
const LIMITS = (target: string): { growth: number; heap: number } =>
  target === 'template' ? { growth: 2 ** 30, heap: 2048 } : { growth: 64 << 20, heap: 256 }

/** Places in the memory that both sides see. */
const INDEX = 0
const STARTED = 1
const DONE = 2
const ACCEPTED = 3
const STOP = 4

interface Task {
  target: string
  seed: number
  first: number
  step: number
  cells: Int32Array
}
interface Finding {
  index: number
  kind: 'crash' | 'hang' | 'allocation'
  text: string
}

const now = (): number => Math.trunc(performance.timeOrigin + performance.now()) & 0x7fffffff
/** Milliseconds of processor time of all workers. */
const cpuMs = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
const memory = (): number => {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics()
  return heap + external
}

async function work({ target: name, seed, first, step, cells }: Task): Promise<void> {
  const target = await targets[name]!()
  const { growth } = LIMITS(name)
  const report = (finding: Finding): void => parentPort!.postMessage(finding)
  for (let index = first; Atomics.load(cells, STOP) === 0; index += step) {
    const input = target.input(seed, index)
    const before = memory()
    Atomics.store(cells, INDEX, index)
    Atomics.store(cells, STARTED, now())
    try {
      if (accepted(target, input)) Atomics.add(cells, ACCEPTED, 1)
    } catch (e) {
      report({ index, kind: 'crash', text: e instanceof Error ? (e.stack ?? e.message) : String(e) })
    }
    Atomics.store(cells, STARTED, 0)
    Atomics.add(cells, DONE, 1)
    const grown = memory() - before
    if (grown > growth) report({ index, kind: 'allocation', text: `${Math.round(grown / 2 ** 20)} MiB` })
  }
}

interface Total {
  inputs: number
  accepted: number
  findings: Finding[]
}

interface Run {
  seed: number
  seconds: number
  /** Inputs after which it ends, if the seconds are not over before. */
  most: number
  workers: number
  folder: string
}

async function fuzz(name: string, { seed, seconds, most, workers, folder }: Run): Promise<Total> {
  const target = await targets[name]!()
  const total: Total = { inputs: 0, accepted: 0, findings: [] }
  const end = performance.now() + seconds * 1000
  const running = new Set<Int32Array>()
  const progress = new Progress({ label: name, ...(Number.isFinite(most) && { total: most }) })
  const doneSoFar = (): number => [...running].reduce((n, cells) => n + cells[DONE]!, total.inputs)
  const found = (finding: Finding): void => {
    total.findings.push(finding)
    mkdirSync(folder, { recursive: true })
    writeFileSync(`${folder}/${name}-${seed}-${finding.index}.bin`, target.input(seed, finding.index))
    process.stderr.write(`${name}: ${finding.kind} at input ${finding.index}: ${finding.text.slice(0, 600)}\n`)
  }

  async function lane(first: number): Promise<void> {
    for (let next = first; performance.now() < end && doneSoFar() < most;) {
      const cells = new Int32Array(new SharedArrayBuffer(20))
      running.add(cells)
      const task: Task = { target: name, seed, first: next, step: workers, cells }
      const worker = new Worker(new URL(import.meta.url), {
        workerData: task,
        resourceLimits: { maxOldGenerationSizeMb: LIMITS(name).heap }
      })
      worker.on('message', found)
      const over = new Promise<void>(resolve => {
        worker.on('error', e => found({ index: cells[INDEX]!, kind: 'crash', text: `the worker ended: ${String(e)}` }))
        worker.on('exit', () => resolve())
      })
      let seen = { index: -1, cpu: 0 }
      const watch = setInterval(() => {
        progress.update(doneSoFar())
        if (performance.now() >= end || doneSoFar() >= most) Atomics.store(cells, STOP, 1)
        const started = Atomics.load(cells, STARTED)
        const index = cells[INDEX]!
        if (seen.index !== index) seen = { index, cpu: cpuMs() }
        // On a busy machine a worker may just not have had its turn: the time of the processors counts, of which each
        // worker can take its share.
        const waited = started === 0 ? 0 : now() - started
        if (waited < HANG_MS || (cpuMs() - seen.cpu < workers * HANG_MS && waited < 30 * HANG_MS)) return
        found({ index, kind: 'hang', text: `over ${HANG_MS} ms` })
        clearInterval(watch)
        void worker.terminate()
      }, 50)
      await over
      clearInterval(watch)
      total.inputs += cells[DONE]!
      running.delete(cells)
      total.accepted += cells[ACCEPTED]!
      next = cells[INDEX]! + workers
    }
  }
  await Promise.all(Array.from({ length: workers }, (_, i) => lane(i)))
  progress.clear()
  return total
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: 'string' },
      seed: { type: 'string', default: '1' },
      workers: { type: 'string', default: '2' },
      inputs: { type: 'string' },
      save: { type: 'string' }
    }
  })
  const [wanted = 'all'] = positionals
  const names = wanted === 'all' ? Object.keys(targets) : [wanted]
  const most = Number(values.inputs ?? Infinity)
  const [seconds, seed, workers] = [
    values.seconds ?? (values.inputs === undefined ? 60 : 1e6),
    values.seed,
    values.workers
  ].map(Number) as [number, number, number]
  if (
    !names.every(n => Object.hasOwn(targets, n)) ||
    !(seconds > 0) ||
    !(most > 0) ||
    !Number.isInteger(seed) ||
    !(Number.isInteger(workers) && workers > 0 && workers <= 64)
  ) {
    process.stderr.write(
      `usage: node scripts/fuzz.ts [${Object.keys(targets).join('|')}|all] [--seconds N] [--inputs N] [--seed N] ` +
        `[--workers N] [--save FOLDER]\n`
    )
    process.exitCode = 2
    return
  }
  const folder = values.save ?? new URL('../test/fuzz-findings', import.meta.url).pathname
  for (const name of names) {
    const began = performance.now()
    const { inputs, accepted: good, findings } = await fuzz(name, { seed, seconds, most, workers, folder })
    const count = (kind: Finding['kind']): number => findings.filter(f => f.kind === kind).length
    process.stdout.write(
      `${name}: ${inputs} inputs (${good} accepted) in ${((performance.now() - began) / 1000).toFixed(0)} s, seed ` +
        `${seed}: ` +
        `${count('crash')} crashes, ${count('hang')} hangs, ${count('allocation')} allocations\n`
    )
    if (findings.length > 0) process.exitCode = 1
  }
}

if (isMainThread) await main()
else await work(workerData as Task)
