/**
 * Reads a reference folder: `fixture.json` (kind, configuration, optimizer, tokens, losses) and `tensors.safetensors`
 * (`weight.*`, `logits`, `grad.*`, `after.*`). What has a default may be missing; what does not fit together is refused
 * by name.
 */
import { join } from 'node:path'
import { openSafetensors } from '../src/formats/safetensors.ts'
import type { SafetensorsFile } from '../src/formats/safetensors.ts'
import { VeritError } from '../src/lib/errors.ts'
import { openRegular } from '../src/lib/regular-file.ts'
import { parseModelConfig } from '../src/model/config.ts'
import type { ModelConfig } from '../src/model/config.ts'
import { parametersOf } from '../src/model/parameters.ts'

export interface FixtureOptimizer {
  readonly lr: number
  readonly beta1: number
  readonly beta2: number
  readonly eps: number
  readonly weightDecay: number
  /** 0 for never. */
  readonly clip: number
}

/** The values of a tensor, in the type they are stored in. */
export type Values = Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>

export class FixtureFolder implements Disposable {
  readonly config: ModelConfig
  readonly optimizer: FixtureOptimizer
  /** [step][sequence][rows + 1] */
  readonly tokens: readonly (readonly (readonly number[])[])[]
  /** Sequences of a step, and tokens of each that have a successor: at most the model's context. */
  readonly batch: { readonly batch: number; readonly context: number }
  readonly losses: readonly number[]
  #path: string
  #file: SafetensorsFile

  /** @throws VeritError when a file is missing or does not hold a reference */
  constructor(dir: string) {
    this.#path = join(dir, 'fixture.json')
    const fixture = this.#object(this.#json(), 'content')
    this.#file = openSafetensors(join(dir, 'tensors.safetensors'))
    try {
      const { seed: _seed, batch: _batch, ...shape } = this.#object(fixture['config'], 'config')
      const biased = this.#file.tensors.has('weight.final_norm.bias')
      this.config = parseModelConfig({
        kind: fixture['kind'],
        ...(fixture['kind'] === 'gpt' ? { bias: biased } : {}),
        ...shape
      })
      this.optimizer = this.#optimizer(this.#object(fixture['optimizer'], 'optimizer'))
      this.tokens = this.#tokens(fixture['tokens'])
      this.batch = { batch: this.tokens[0]!.length, context: this.tokens[0]![0]!.length - 1 }
      this.losses = this.#losses(this.#object(fixture['f64'], 'f64')['losses'])
      const known = new Set(parametersOf(this.config).map(p => `weight.${p.name}`))
      for (const name of this.#file.tensors.keys()) {
        if (name.startsWith('weight.') && !known.has(name))
          throw this.#wrong(`configuration has no parameter for the tensor ${name}`)
      }
    } catch (e) {
      this.#file.close()
      throw e
    }
  }

  /** A tensor of F32 or F64 values. @param elements how many it must have */
  read(name: string, elements: number): Values {
    const dtype = this.#file.tensors.get(name)?.dtype
    const bytes = this.#file.read(name)
    if (dtype !== 'F32' && dtype !== 'F64')
      throw new VeritError('VERIT_TENSOR', { tensor: name, problem: `its type is ${dtype}, not F32 or F64` })
    const values = dtype === 'F32' ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer)
    if (values.length !== elements) {
      throw new VeritError('VERIT_TENSOR', {
        tensor: name,
        problem: `it has ${values.length} elements where the configuration needs ${elements}`
      })
    }
    return values
  }

  [Symbol.dispose](): void {
    this.#file.close()
  }

  #wrong(problem: string, cause?: unknown): VeritError {
    const hint = 'Compare it with test/fixtures/gpt/fixture.json'
    return new VeritError(
      'VERIT_USAGE',
      { problem: `${this.#path} is not a reference that can be checked: its ${problem}`, hint },
      cause
    )
  }

  #json(): unknown {
    const file = openRegular(this.#path, 'the reference to check')
    try {
      const bytes = Buffer.alloc(file.size)
      file.read(0, bytes)
      return JSON.parse(bytes.toString('utf8')) as unknown
    } catch (e) {
      if (e instanceof SyntaxError) throw this.#wrong(`text is not JSON (${e.message})`, e)
      throw e
    } finally {
      file.close()
    }
  }

  #object(value: unknown, name: string): Record<string, unknown> {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.#wrong(`${name} is not an object`)
    return value as Record<string, unknown>
  }

  #optimizer(source: Record<string, unknown>): FixtureOptimizer {
    const number = (field: keyof FixtureOptimizer, fallback?: number): number => {
      const value = source[field] ?? fallback
      if (typeof value !== 'number' || value < 0) throw this.#wrong(`optimizer.${field} is not a number from 0 on`)
      return value
    }
    const betas = { beta1: number('beta1', 0.9), beta2: number('beta2', 0.95) }
    return {
      lr: number('lr'),
      ...betas,
      eps: number('eps', 1e-8),
      weightDecay: number('weightDecay', 0),
      clip: number('clip', 0)
    }
  }

  #tokens(value: unknown): number[][][] {
    const { vocab, context } = this.config
    const lists = (x: unknown): x is unknown[] => Array.isArray(x) && x.length > 0
    if (!lists(value) || !value.every(step => lists(step) && step.every(lists)))
      throw this.#wrong('tokens are not lists of [step][sequence][token]')
    const tokens = value as number[][][]
    const [{ length: batch }, { length }] = [tokens[0]!, tokens[0]![0]!]
    if (length < 2 || length - 1 > context)
      throw this.#wrong(`sequences have ${length} tokens; the context allows 2 to ${context + 1}`)
    if (!tokens.every(step => step.length === batch && step.every(s => s.length === length)))
      throw this.#wrong('sequences are not all of one length')
    const outside = tokens.flat(2).find(id => !Number.isInteger(id) || id < 0 || id >= vocab)
    if (outside !== undefined)
      throw this.#wrong(`token ${JSON.stringify(outside)} is not in the vocabulary of ${vocab}`)
    return tokens
  }

  #losses(value: unknown): number[] {
    const steps = this.tokens.length
    if (!Array.isArray(value) || value.length !== steps || value.some(x => typeof x !== 'number')) {
      throw this.#wrong(`f64.losses is not a list of ${steps} numbers`)
    }
    return value as number[]
  }
}
