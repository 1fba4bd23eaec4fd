/** `verit eval --tasks`: scores of a model on tasks, in one report. */
import { Scorer } from '../eval/scorer.ts'
import { measure, needsGreedy, requestsOf } from '../eval/task.ts'
import type { Metric } from '../eval/task.ts'
import { GgufFile } from '../formats/gguf-reader.ts'
import { printable } from '../lib/printable.ts'
import { Progress } from '../lib/progress.ts'
import { VERSION } from '../lib/version.ts'
import { loadModel } from '../model/load-gguf.ts'
import { digestDescriptor } from '../trust/digest.ts'
import type { Digest } from '../trust/digest.ts'
import { chooseTernaryPacking } from '../weights/ternary-packing.ts'
import { columns } from './columns.ts'
import { executorOf } from './compute-options.ts'
import type { ComputeFlags } from './compute-options.ts'
import { lockCommand } from './lock-command.ts'
import { byteProgress, withByteProgress } from './model-shared.ts'
import { openModelFile } from './open-model-file.ts'
import { readTask } from './task-file.ts'
import type { TaskFile } from './task-file.ts'

export interface TaskFlags extends ComputeFlags {
  tasks: readonly string[]
  limit?: number
}

interface TaskResult {
  readonly task: string
  readonly kind: string
  readonly files: TaskFile['files']
  readonly examples: number
  readonly metrics: Readonly<Record<string, Metric>>
}

export interface TaskReport {
  readonly verit: string
  readonly model: string
  readonly sha256: Digest
  readonly executor: string
  readonly settings: { readonly fewshot: 0; readonly limit: number | null; readonly context: number }
  readonly tasks: readonly TaskResult[]
}

/** @throws VeritError VERIT_EVAL_DATA, and those of loading the model */
export async function evaluateTasks(path: string, flags: TaskFlags): Promise<TaskReport> {
  const tasks = flags.tasks.map(file => readTask(file, flags.limit))
  const executor = executorOf(flags)
  const packing = chooseTernaryPacking(executor, flags.packing)
  using source = await openModelFile(path, 'a GGUF model')
  lockCommand()
  const { update, clear } = byteProgress()
  const sha256 = await digestDescriptor(source.fd, path, { onProgress: update }).finally(clear)
  const model = await withByteProgress('load', onProgress =>
    loadModel(new GgufFile(source), executor, { packing, onProgress })
  )
  const results: TaskResult[] = []
  for (const { task, files } of tasks) {
    const requests = requestsOf(task, model.tokenizer)
    const progress = new Progress({ label: printable(task.name, 20), total: requests.length })
    using scorer = new Scorer(executor, model.config, model.weights, needsGreedy(task))
    const scores = await scorer.score(requests, done => progress.update(done)).finally(() => progress.clear())
    const metrics = measure(task, scores)
    results.push({ task: task.name, kind: task.kind, files, examples: task.examples.length, metrics })
  }
  return {
    verit: VERSION,
    model: path,
    sha256,
    executor: executor.name,
    settings: { fewshot: 0, limit: flags.limit ?? null, context: model.config.context },
    tasks: results
  }
}

export function taskText({ tasks }: TaskReport): string {
  const rows = tasks.flatMap(({ task, examples, metrics }) =>
    Object.entries(metrics).map(([metric, { value, stderr }]) => [
      printable(task, 40),
      metric,
      shown(value),
      stderr === undefined ? '' : `± ${shown(stderr)}`,
      `${examples.toLocaleString('en-US')} examples`
    ])
  )
  return columns([['task', 'metric', 'value', 'standard error', ''], ...rows])
}

/** Four decimals; perplexities of models that know nothing of a text are larger than that tells. */
const shown = (value: number): string => (value < 1e6 ? value.toFixed(4) : value.toPrecision(6))
