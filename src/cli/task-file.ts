/**
 * Reads tasks: JSON Lines whose form is known by its fields, or a YAML file of lm-eval with its data beside it. Code in
 * such a file (`!function`) is refused, never run.
 */
import { basename, dirname, extname, resolve } from 'node:path'
import { parseDocument } from 'yaml'
import { ChatTemplate } from '../engine/chat-template.ts'
import { gsm8k, gsm8kExample, wholeAnswer } from '../eval/generation-task.ts'
import type { GenerationTask } from '../eval/generation-task.ts'
import { choose, formOf, taskForms } from '../eval/task-forms.ts'
import type { Doc } from '../eval/task-forms.ts'
import { metricsOf } from '../eval/task.ts'
import type { Example, MetricName, Task, TaskKind } from '../eval/task.ts'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { openRegular } from '../lib/regular-file.ts'
import { digestBytes } from '../trust/digest.ts'
import type { Digest } from '../trust/digest.ts'

const MAX_BYTES = 1 << 28
const MAX_YAML_BYTES = 1 << 20

/** A task with the files that it was read from. */
export interface TaskFile {
  readonly task: Task | GenerationTask
  readonly files: readonly { readonly file: string; readonly sha256: Digest }[]
}

const refuse = (file: string, problem: string, fix?: string): never => {
  throw new VeritError('VERIT_EVAL_DATA', {
    source: file,
    problem,
    fix: fix ?? 'docs/guide/evaluate.md describes the forms of tasks'
  })
}

/**
 * @param limit examples at most. Default: all
 * @throws VeritError VERIT_EVAL_DATA, VERIT_FILE_NOT_FOUND
 */
export function readTask(path: string, limit = Infinity): TaskFile {
  return /\.ya?ml$/i.test(path) ? readYamlTask(path, limit) : readKnownTask(path, limit)
}

function readBytes(path: string, purpose: string, most: number): Buffer {
  using file = openRegular(path, purpose)
  if (file.size > most) refuse(path, `it has ${file.size} bytes, more than the limit of ${most}`)
  return file.readAll()
}

/** Examples of a file in JSON Lines, or of one JSON list. */
function readDocs(path: string, limit: number): { docs: Doc[]; sha256: Digest } {
  const bytes = readBytes(path, 'the examples of a task', MAX_BYTES)
  const text = bytes.toString('utf8')
  const list = text.trimStart().startsWith('[')
  const rows = list ? [text] : text.split('\n').filter(line => line.trim() !== '')
  const docs: unknown[] = []
  for (const [i, row] of rows.entries()) {
    if (docs.length >= limit) break
    try {
      docs.push(JSON.parse(row))
    } catch {
      refuse(path, list ? 'it is not JSON' : `line ${i + 1} is not JSON`)
    }
  }
  const all = (list ? docs[0] : docs) as unknown[]
  const sound = Array.isArray(all) && all.every(doc => typeof doc === 'object' && doc !== null && !Array.isArray(doc))
  if (!sound || all.length === 0) refuse(path, 'it holds no examples: one JSON object a line')
  return { docs: all.slice(0, limit) as Doc[], sha256: digestBytes(bytes) }
}

function readKnownTask(path: string, limit: number): TaskFile {
  const { docs, sha256 } = readDocs(path, limit)
  const name = basename(path, extname(path))
  const files = [{ file: path, sha256 }]
  if (gsm8kExample(docs[0]!) !== undefined) {
    const examples = docs.map((doc, i) => gsm8kExample(doc) ?? refuse(path, `example ${i + 1} is no gsm8k example`))
    return { task: { ...gsm8k, name, examples }, files }
  }
  const form = formOf(docs[0]!)
  if (form === undefined) {
    const forms = taskForms.map(({ name: known, fields }) => `${known} (${fields.join(', ')})`)
    const known = [...forms, 'gsm8k (question, answer)'].join(', ')
    return refuse(path, `the fields of its examples are of no known form: ${known}`, 'Describe it in a YAML file')
  }
  const examples = docs.map(
    (doc, i) => form.example(doc) ?? refuse(path, `example ${i + 1} is no ${form.name} example`)
  )
  const task = { name, kind: form.kind, metrics: form.metrics ?? metricsOf(form.kind), examples }
  return { task, files }
}

/** Options of lm-eval that change nothing here. */
const NEUTRAL = new Set([
  'tag',
  'group',
  'task_alias',
  'metadata',
  'dataset_path',
  'dataset_name',
  'training_split',
  'validation_split',
  'test_split',
  'fewshot_split',
  'should_decontaminate',
  'doc_to_decontamination_query'
])
const USED = new Set([
  'task',
  'output_type',
  'dataset_kwargs',
  'doc_to_text',
  'doc_to_target',
  'doc_to_choice',
  'description',
  'target_delimiter',
  'metric_list',
  'num_fewshot',
  'repeats',
  'generation_kwargs'
])

function readYamlTask(path: string, limit: number): TaskFile {
  const bytes = readBytes(path, 'a task', MAX_YAML_BYTES)
  const document = parseDocument(bytes.toString('utf8'), { uniqueKeys: true })
  const fault = document.errors[0] ?? document.warnings[0]
  if (fault !== undefined) {
    const code = /function/.test(fault.message)
    refuse(
      path,
      code ? 'it calls a function of Python, which Verit does not run' : printable(fault.message.split('\n')[0]!, 200),
      code ? 'Give the examples as JSON Lines, if their form is known, or write the prompt as a template' : undefined
    )
  }
  const config = document.toJS({ maxAliasCount: 100 }) as unknown
  if (typeof config !== 'object' || config === null || Array.isArray(config)) return refuse(path, 'it is not a mapping')
  const options = config as Readonly<Record<string, unknown>>
  for (const key of Object.keys(options))
    if (!NEUTRAL.has(key) && !USED.has(key)) refuse(path, `it uses ${printable(key, 80)}, which is not supported`)
  for (const [key, value] of [
    ['num_fewshot', 0],
    ['repeats', 1]
  ] as const)
    if ((options[key] ?? value) !== value) refuse(path, `${key} is not ${value}, which is not supported`)
  const data = resolve(dirname(path), dataFile(path, options['dataset_kwargs']))
  const { docs, sha256 } = readDocs(data, limit)
  const files = [
    { file: path, sha256: digestBytes(bytes) },
    { file: data, sha256 }
  ]
  const name = typeof options['task'] === 'string' ? options['task'] : basename(path, extname(path))
  if (options['output_type'] === 'generate_until') return { task: generationTask(path, name, options, docs), files }
  const kind = kindOf(path, options['output_type'])
  const reader = new ExampleReader(path, kind, options)
  const examples = docs.map((doc, i) => reader.read(doc, i))
  return { task: { name, kind, metrics: metricsIn(path, kind, options['metric_list']), examples }, files }
}

/** Answers are generated greedily and compared as a whole. */
function generationTask(
  path: string,
  name: string,
  options: Readonly<Record<string, unknown>>,
  docs: readonly Doc[]
): GenerationTask {
  const given = (options['generation_kwargs'] ?? {}) as Readonly<Record<string, unknown>>
  for (const [key, value] of Object.entries(given)) {
    const greedy = (key === 'do_sample' && value === false) || (key === 'temperature' && value === 0)
    if (key !== 'until' && key !== 'max_gen_toks' && !greedy)
      refuse(path, `generation_kwargs.${printable(key, 40)} is ${JSON.stringify(value)}, which is not supported`)
  }
  const until: unknown[] = [given['until'] ?? '\n\n'].flat()
  const sound = until.every(text => typeof text === 'string' && text !== '' && text.length <= 256) && until.length <= 16
  if (!sound) refuse(path, 'generation_kwargs.until is not up to 16 texts of at most 256 characters')
  const maxTokens = given['max_gen_toks'] ?? 256
  if (typeof maxTokens !== 'number' || !Number.isInteger(maxTokens) || maxTokens < 1 || maxTokens > 1 << 20)
    return refuse(path, 'generation_kwargs.max_gen_toks is not a whole number from 1')
  const metrics: unknown = options['metric_list'] ?? [{ metric: 'exact_match' }]
  const [metric, more] = (Array.isArray(metrics) ? metrics : []) as Readonly<Record<string, unknown>>[]
  if (metric?.['metric'] !== 'exact_match' || more !== undefined)
    return refuse(path, 'its metric_list is not exact_match alone')
  if (metric['regexes_to_ignore'] !== undefined) refuse(path, 'it uses regexes_to_ignore, which is not supported')
  const reader = new ExampleReader(path, 'loglikelihood', options)
  const examples = docs.map((doc, i) => {
    const { context, continuations } = reader.read(doc, i)
    return { context, target: continuations[0]! }
  })
  return {
    name,
    kind: 'generate_until',
    examples,
    until: until as string[],
    maxTokens,
    filters: [wholeAnswer],
    ignore: [],
    ignoreCase: metric['ignore_case'] === true,
    ignorePunctuation: metric['ignore_punctuation'] === true
  }
}

function kindOf(path: string, type: unknown): TaskKind {
  if (type === 'multiple_choice' || type === 'loglikelihood') return type
  return refuse(
    path,
    `output_type is ${JSON.stringify(type)}, where multiple_choice, loglikelihood and generate_until are supported`
  )
}

/** The one file of `dataset_kwargs.data_files`, by its path from the YAML file. */
function dataFile(path: string, kwargs: unknown): string {
  let files: unknown = (kwargs as { data_files?: unknown } | undefined)?.data_files
  while (typeof files === 'object' && files !== null) {
    const all: unknown[] = Object.values(files)
    if (all.length !== 1) return refuse(path, 'dataset_kwargs.data_files names several files')
    files = all[0]
  }
  return typeof files === 'string'
    ? files
    : refuse(path, 'dataset_kwargs.data_files does not name a file; Verit downloads no dataset')
}

function metricsIn(path: string, kind: TaskKind, list: unknown): readonly MetricName[] {
  if (list === undefined) return metricsOf(kind)
  if (!Array.isArray(list)) return refuse(path, 'metric_list is no list')
  return list.map((entry: unknown) => {
    const name = (entry as { metric?: unknown } | null)?.metric
    const known = metricsOf(kind).find(metric => metric === name)
    return known ?? refuse(path, `the metric ${JSON.stringify(name)} is not one of ${metricsOf(kind).join(', ')}`)
  })
}

/** Makes examples by the templates of a task. */
class ExampleReader {
  readonly #path: string
  readonly #kind: TaskKind
  readonly #options: Readonly<Record<string, unknown>>
  readonly #templates = new Map<string, ChatTemplate>()

  constructor(path: string, kind: TaskKind, options: Readonly<Record<string, unknown>>) {
    this.#path = path
    this.#kind = kind
    this.#options = options
  }

  read(doc: Doc, index: number): Example {
    const wrong = (problem: string): never => refuse(this.#path, `example ${index + 1} has ${problem}`)
    const description = typeof this.#options['description'] === 'string' ? this.#options['description'] : ''
    const context = description + this.#text('doc_to_text', doc)
    if (this.#kind === 'loglikelihood') {
      const target = this.#text('doc_to_target', doc)
      if (target === '') return wrong('an empty target')
      return { context, continuations: [target], lengths: [[...target].length], gold: 0 }
    }
    const choices = this.#value('doc_to_choice', doc)
    if (!Array.isArray(choices) || !choices.every(choice => typeof choice === 'string'))
      return wrong('choices that are no list of texts')
    const target = this.#value('doc_to_target', doc)
    const digits = typeof target === 'string' && /^\d+$/.test(target)
    const gold = typeof target === 'string' && !digits ? choices.indexOf(target) : Number(target)
    const delimiter = this.#options['target_delimiter'] ?? ' '
    return choose(context, choices, gold, String(delimiter)) ?? wrong('a target that is none of its choices')
  }

  #text(key: string, doc: Doc): string {
    const template = this.#options[key] ?? ''
    if (typeof template !== 'string') return String(template)
    const field = Object.hasOwn(doc, template) ? doc[template] : undefined
    return field === undefined ? this.#render(template, doc) : String(field)
  }

  /** A field by its name, a list or number in the file, or the value of the one expression of a template. */
  #value(key: string, doc: Doc): unknown {
    const template = this.#options[key]
    if (typeof template !== 'string') return template
    if (Object.hasOwn(doc, template)) return doc[template]
    const [, expression] = /^\{\{(.*)\}\}$/s.exec(template.trim()) ?? []
    if (expression === undefined || expression.includes('}}')) return this.#render(template, doc)
    // Python's list.index, which templates here do not have.
    const [, list, item] = /^\s*([\w.]+)\.index\(([\w.]+)\)\s*$/.exec(expression) ?? []
    if (list !== undefined) {
      const values = at(doc, list)
      return Array.isArray(values) ? values.indexOf(at(doc, item!)) : -1
    }
    return JSON.parse(this.#render(`{{ (${expression}) | tojson }}`, doc)) as unknown
  }

  #render(source: string, doc: Doc): string {
    const template = this.#templates.get(source) ?? new ChatTemplate(source)
    this.#templates.set(source, template)
    try {
      return template.render(doc)
    } catch (e) {
      if (!VeritError.is(e, 'VERIT_CHAT')) throw e
      return refuse(this.#path, `its template ${printable(source, 80)} cannot be rendered: ${e.fields.problem}`)
    }
  }
}

/** A value by a path of names with dots. */
function at(doc: Doc, path: string): unknown {
  let value: unknown = doc
  for (const name of path.split('.'))
    value = typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as Doc)[name] : undefined
  return value
}
