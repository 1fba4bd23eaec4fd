/**
 * A Jinja template from a model file, rendered without trust: at most 64 KiB of source, two seconds, 4 Mi characters of
 * text; it sees the values it is given, a short `range` and nothing of this machine but the date, which is an input,
 * too.
 */
import { createContext, Script } from 'node:vm'
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { TemplateDate } from './template-date.ts'

const MAX_SOURCE = 1 << 16
const MAX_OUTPUT = 1 << 22
const MAX_RANGE = 4096
/** Maximum elements of one list or mapping, and of all that expressions create. */
const MAX_ELEMENTS = 1 << 16
const MAX_ALL_ELEMENTS = 1 << 23
/** Characters that filters and functions make in all. */
const MAX_ALL_TEXT = 1 << 26

export class ChatTemplate {
  readonly source: string
  #limit: number
  #parsed: ReturnType<typeof parse> | undefined

  /**
   * The template is compiled at its first use: a model with a broken template can still complete text.
   * @param limit milliseconds a rendering may take
   */
  constructor(source: string, limit = 2000) {
    this.source = source
    this.#limit = limit
  }

  /**
   * Refuses a template that no conversation can use, before there is one.
   * @param source the file or option that gave it
   * @throws VeritError VERIT_CHAT
   */
  compile(source: string): void {
    const refuse = (problem: string, cause?: unknown): VeritError =>
      new VeritError('VERIT_CHAT', { template: printable(source), problem }, cause)
    if (this.source.length > MAX_SOURCE) throw refuse(`is longer than ${MAX_SOURCE} characters`)
    bounded(
      this.#limit,
      () => this.#parse(),
      (reason, cause) => refuse(`cannot be read: ${reason}`, cause)
    )
  }

  #parse(): ReturnType<typeof parse> {
    this.#parsed ??= parse(tokenize(this.source, { lstrip_blocks: true, trim_blocks: true }))
    return this.#parsed
  }

  /**
   * @param date for `strftime_now`
   * @throws VeritError VERIT_CHAT for a template that is too long, wrong or too slow, and for exceptions that it raises
   */
  render(values: Readonly<Record<string, unknown>>, date: TemplateDate = new TemplateDate()): string {
    if (this.source.length > MAX_SOURCE)
      throw new VeritError('VERIT_CHAT', {
        problem: `the model's chat template is longer than ${MAX_SOURCE} characters`
      })
    const output = bounded(
      this.#limit,
      () => {
        const parsed = this.#parse()
        const env = new Environment()
        for (const [name, value] of Object.entries({ ...globals, strftime_now: date.strftime, ...values }))
          env.set(name, value)
        return new BoundedInterpreter(env).run(parsed).value
      },
      refused
    )
    if (typeof output !== 'string' || output.length > MAX_OUTPUT) {
      throw new VeritError('VERIT_CHAT', {
        problem: `the model's chat template makes more than ${MAX_OUTPUT} characters of it`
      })
    }
    return output
  }
}

/** The package's declarations lead nowhere under Node's resolution of modules. */
const TypedInterpreter = Interpreter as unknown as new (environment: unknown) => {
  run(program: unknown): { value: unknown }
  evaluate(node: { type: string } | undefined, environment: unknown): { value: unknown }
}

/**
 * Intermediate texts of a template are bounded too: otherwise a dozen lines that double a text take all memory within
 * the time limit. One step can still make a text as long as V8 allows, 512 Mi characters, before it is refused.
 */
class BoundedInterpreter extends TypedInterpreter {
  #elements = 0
  #characters = 0

  override evaluate(node: { type: string } | undefined, environment: unknown): { value: unknown } {
    const result = super.evaluate(node, environment)
    const kind = node?.type ?? ''
    const { value } = result
    if (typeof value === 'string') {
      if (COPYING.has(kind)) this.#characters += value.length
      if (value.length > MAX_OUTPUT || this.#characters > MAX_ALL_TEXT) throw new Error('it makes too much text')
    } else if (kind !== 'Identifier') {
      const size = Array.isArray(value) ? value.length : value instanceof Map ? value.size : 0
      this.#elements += size
      if (size > MAX_ELEMENTS || this.#elements > MAX_ALL_ELEMENTS)
        throw new Error('it makes lists of too many elements')
    }
    return result
  }
}

/** Expressions whose text is a new one. Joining two texts copies neither. */
const COPYING: ReadonlySet<string> = new Set(['FilterExpression', 'CallExpression'])

const globals = {
  // Hugging Face's libraries give these two to every template.
  tools: null,
  documents: null,
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  raise_exception: (message: unknown): never => {
    throw new Error(String(message))
  },
  range: (...args: unknown[]): number[] => {
    const numbers = args.filter(a => typeof a === 'number' || typeof a === 'bigint').map(Number)
    const [start, stop, step] =
      numbers.length === 1 ? [0, numbers[0]!, 1] : [numbers[0] ?? 0, numbers[1] ?? 0, numbers[2] ?? 1]
    const length = Math.max(0, Math.ceil((stop - start) / step))
    if (!(length <= MAX_RANGE)) throw new Error(`range of ${length} numbers`)
    return Array.from({ length }, (_, i) => start + i * step)
  }
}

/** Runs in this realm, but under the virtual machine's clock, which stops synchronous code wherever it is. */
function bounded<T>(limit: number, work: () => T, refuse: (reason: string, cause: unknown) => VeritError): T {
  const context = createContext({ work })
  try {
    return new Script('work()').runInContext(context, { timeout: limit }) as T
  } catch (e) {
    const late = (e as { code?: unknown } | null)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
    const reason = late
      ? `it ran longer than ${limit} ms`
      : printable(e instanceof Error ? e.message : 'it failed', 200)
    throw refuse(reason, e)
  }
}

const refused = (reason: string, cause: unknown): VeritError =>
  new VeritError('VERIT_CHAT', { problem: `the model's chat template refused it: ${reason}` }, cause)
