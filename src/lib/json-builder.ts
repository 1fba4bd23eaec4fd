/** Builds the values of JSON text while it is walked: those of JSON.parse, part by part. */
import type { JsonVisitor } from './json-walk.ts'

/** A list of numbers at the top of a body, which may be no longer than this. */
export interface NumberLimit {
  /** Name of the field in the outermost object. */
  readonly field: string
  /** Numbers in it, at any depth. */
  readonly most: number
  /** Throws the refusal of one number more. */
  readonly refuse: () => never
}

type Container = unknown[] | Record<string, unknown>

/** The walk must refuse the name `__proto__`. Halves of surrogate pairs become U+FFFD, as in UTF-8. */
export class JsonBuilder implements JsonVisitor {
  #root: unknown[] = []
  #into: Container = this.#root
  #outer: Container[] = []
  /** The name that the next value in an object gets, and the last name in the outermost object. */
  #name = ''
  #field: string | undefined
  #limit: NumberLimit | undefined
  #numbers = 0

  constructor(limit?: NumberLimit) {
    this.#limit = limit
  }

  /** The value, once the walk is over. */
  get result(): unknown {
    return this.#root[0]
  }

  begin(object: boolean): void {
    const value: Container = object ? {} : []
    this.#put(value)
    this.#outer.push(this.#into)
    this.#into = value
  }

  end(): void {
    this.#into = this.#outer.pop()!
  }

  name(name: string): void {
    this.#name = name
    if (this.#outer.length === 1) this.#field = name
  }

  value(value: string | number): void {
    this.#put(typeof value === 'string' ? value.toWellFormed() : value)
  }

  scalar(value: number | boolean | null): void {
    const limit = this.#limit
    const counts = limit !== undefined && typeof value === 'number' && limit.field === this.#field
    if (counts && ++this.#numbers > limit.most) limit.refuse()
    this.#put(value)
  }

  #put(value: unknown): void {
    if (Array.isArray(this.#into)) this.#into.push(value)
    else this.#into[this.#name] = value
  }
}
