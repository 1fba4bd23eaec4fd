/** `verit eval --tasks`: scores of a model on tasks, in one report. */
import type { Engine } from '../engine/engine.ts'
import { loadModel as loadEngine } from '../engine/load.ts'
import { measureAnswers } from '../eval/generation-task.ts'
import type { Answer, GenerationTask } from '../eval/generation-task.ts'
import { Scorer } from '../eval/scorer.ts'
import { measure, needsGreedy, requestsOf } from '../eval/task.ts'
import type { Metric, Task } from '../eval/task.ts'
import type { Executor } from '../exec/plan.ts'
import { GgufFile } from '../formats/gguf-reader.ts'
import type { RegularFile } from '../lib/regular-file.ts'
import { printable } from '../lib/printable.ts'
import { Progress } from '../lib/progress.ts'
import { VERSION } from '../lib/version.ts'
import { loadModel } from '../model/load-gguf.ts'
import { digestDescriptor } from '../trust/digest.ts'
import type { Digest } from '../trust/digest.ts'
import { chooseTernaryPacking } from '../weights/ternary-packing.ts'
import type { TernaryPacking } from '../weights/ternary-packing.ts'
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
  readonly settings: { readonly fewshot: 0; readonly limit: number | null }
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
  const results: TaskResult[] = []
  const add = ({ task, files }: TaskFile, metrics: TaskResult['metrics']): void =>
    void results.push({ task: task.name, kind: task.kind, files, examples: task.examples.length, metrics })
  const scored = tasks.filter(({ task }) => task.kind !== 'generate_until')
  if (scored.length > 0) await scoreTasks(scored, source, executor, packing, add)
  // The weights of scoring are free by now: the engine loads them for itself.
  const generated = tasks.filter(({ task }) => task.kind === 'generate_until')
  if (generated.length > 0) {
    await using engine = await loadEngine(source, { executor, packing: flags.packing, digest: sha256, slots: 1 })
    for (const file of generated) add(file, await answerTask(file.task as GenerationTask, engine))
  }
  const order = tasks.map(({ task }) => task.name)
  results.sort((x, y) => order.indexOf(x.task) - order.indexOf(y.task))
  return {
    verit: VERSION,
    model: path,
    sha256,
    executor: executor.name,
    settings: { fewshot: 0, limit: flags.limit ?? null },
    tasks: results
  }
}

async function scoreTasks(
  tasks: readonly TaskFile[],
  source: RegularFile,
  executor: Executor,
  packing: TernaryPacking,
  add: (file: TaskFile, metrics: TaskResult['metrics']) => void
): Promise<void> {
  const model = await withByteProgress('load', onProgress =>
    loadModel(new GgufFile(source), executor, { packing, onProgress })
  )
  for (const file of tasks) {
    const task = file.task as Task
    const requests = requestsOf(task, model.tokenizer)
    const progress = new Progress({ label: printable(task.name, 20), total: requests.length })
    using scorer = new Scorer(executor, model.config, model.weights, needsGreedy(task))
    const scores = await scorer.score(requests, done => progress.update(done)).finally(() => progress.clear())
    add(file, measure(task, scores))
  }
}

/** Greedy answers. A prompt that leaves no room for one loses its first tokens, as in lm-eval. */
async function answerTask(task: GenerationTask, engine: Engine): Promise<Record<string, Metric>> {
  const progress = new Progress({ label: printable(task.name, 20), total: task.examples.length })
  const answers: Answer[] = []
  const room = Math.max(1, engine.info.context - task.maxTokens)
  try {
    for (const { context } of task.examples) {
      const ids = [...engine.tokenizer.encode(context)]
      const request = { prompt: ids.slice(-room), maxTokens: task.maxTokens, temperature: 0, stop: task.until }
      let text = ''
      for await (const event of engine.generate(request)) {
        if (event.type === 'token') text += event.text
        if (event.type === 'end')
          answers.push({ text, tokens: event.completionTokens, seconds: event.timings.predictedMs / 1000 })
      }
      progress.update(answers.length)
    }
  } finally {
    progress.clear()
  }
  return measureAnswers(task, answers)
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
