/**
 * Walks JSON text (RFC 8259) once, before or instead of building it. It checks the whole grammar, the nesting,
 * repeated names in one object (two readers could disagree on which counts), and the limits of the caller. JSON.parse
 * reads every text that passes. A long text can be walked in slices, with other work on the same thread in between.
 */

export interface JsonRules {
  /** Objects and arrays within each other, at most. */
  readonly depth: number
  /** Whether an escape may stand for half a character. Default false. */
  readonly loneSurrogates?: boolean
  /**
   * Default 'any': numbers as JSON has them, true, false and null. 'counts': integers from 0 to 2^53 - 1, and no other
   * value but texts.
   */
  readonly scalars?: 'any' | 'counts'
  /**
   * Names in one object and in all, where the walk ends at one more; names and texts such as "17". Default: not
   * bounded.
   */
  readonly names?: number
  readonly allNames?: number
  readonly indices?: number
  /** Values of every kind, in all; the walk ends at one more. Default: not bounded. */
  readonly values?: number
  /** Maximum characters of a name and of a number; one more ends the walk. Default: no limit. */
  readonly nameLength?: number
  readonly numberLength?: number
  readonly forbidden?: ReadonlySet<string>
}

/** Called for each part of the text, in order. */
export interface JsonVisitor {
  begin(object: boolean): void
  name(name: string): void
  value(value: string | number): void
  /** Numbers, true, false and null, unless `scalars` is 'counts'. Default: not reported. */
  scalar?(value: number | boolean | null): void
  end(): void
}

/**
 * @param problem part of a sentence @param index in UTF-16 units, never below that of the fault before. If it returns,
 *   the walk continues while the position of the next value is known.
 */
export type JsonFault = (problem: string, index: number) => void

/** @param visit receives texts, and numbers that are counts; default: nothing is built */
export function walkJson(text: string, rules: JsonRules, fault: JsonFault, visit?: JsonVisitor): void {
  walkJsonInSlices(text, rules, fault, visit, Infinity).next()
}

/**
 * The same in slices: each `next()` walks about `slice` characters; a value counts as VALUE_COST of them.
 * Long strings and white space are cut, too; numbers are not: bound them with `numberLength`.
 */
export function walkJsonInSlices(
  text: string,
  rules: JsonRules,
  fault: JsonFault,
  visit: JsonVisitor | undefined,
  slice: number
): Generator<undefined, void> {
  return new Walk(text, rules, fault, visit).run(slice)
}

/** Bytes of UTF-8 before an index. */
export const byteOf = (text: string, index: number): number => Buffer.byteLength(text.slice(0, index))

/** Cost of reporting one value, in characters. */
const VALUE_COST = 32
const QUOTE = 0x22
const PLUS = 0x2b
const COMMA = 0x2c
const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a
const ARRAY = 0x5b
const BACKSLASH = 0x5c
const END_ARRAY = 0x5d
const OBJECT = 0x7b
const END_OBJECT = 0x7d
const ESCAPED = Uint8Array.from({ length: 128 }, (_, code) => ('"\\/bfnrt'.includes(String.fromCharCode(code)) ? 1 : 0))
const FOUR_HEX = /^[\da-f]{4}$/i
const LITERALS: readonly (readonly [string, boolean | null])[] = [
  ['true', true],
  ['false', false],
  ['null', null]
]
/** V8 keeps these apart from other texts, under hashes that anyone can make collide. */
const INDEX = /^\d{1,10}$/
/** The longest way to write ten characters. */
const LONGEST_INDEX = 60

/**
 * States of the walk, by the expected next token. FIRST_VALUE and FIRST_NAME also accept the end of the array or
 * object.
 */
const NOTHING = 0
const VALUE = 1
const FIRST_VALUE = 2
const NAME = 3
const FIRST_NAME = 4
const AFTER_NAME = 5
const AFTER_VALUE = 6

class Walk {
  #text: string
  #rules: JsonRules
  #fault: JsonFault
  #visit: JsonVisitor | undefined
  #at = 0
  /** Where the slice ends. */
  #pause = Infinity
  #expect = VALUE
  /** The current string: where it begins (-1: none), whether it is a name, has escapes or surrogates, is valid. */
  #start = -1
  #isName = false
  #escaped = false
  #halves = false
  #good = true
  /** The decoded earlier slices of a string with escapes, and the start of the rest. */
  #decoded = ''
  #from = 0
  /** The names of each open object, null before its first; undefined for an array. */
  #open: (Set<string> | null | undefined)[] = []
  #names = 0
  #values = 0
  #indices = 0

  constructor(text: string, rules: JsonRules, fault: JsonFault, visit: JsonVisitor | undefined) {
    this.#text = text
    this.#rules = rules
    this.#fault = fault
    this.#visit = visit
  }

  *run(slice: number): Generator<undefined, void> {
    for (;;) {
      this.#pause = this.#at + slice
      this.#walkSlice()
      if (this.#expect === NOTHING) return
      yield
    }
  }

  // No part of the generator: V8 optimises a loop in a plain method sooner.
  #walkSlice(): void {
    while (this.#expect !== NOTHING && this.#at < this.#pause) {
      if (this.#start >= 0) this.#readString()
      else if (this.#skipSpace()) this.#step(this.#at < this.#text.length ? this.#text.charCodeAt(this.#at) : -1)
    }
  }

  /** Processes the token that begins with this character; -1 is the end of the text. */
  #step(c: number): void {
    switch (this.#expect) {
      case FIRST_VALUE:
        return c === END_ARRAY ? this.#close() : this.#value(c)
      case VALUE:
        return this.#value(c)
      case FIRST_NAME:
        return c === END_OBJECT ? this.#close() : this.#name(c)
      case NAME:
        return this.#name(c)
      case AFTER_NAME:
        if (c !== COLON) return this.#end('":" is expected', this.#at)
        this.#at++
        this.#expect = VALUE
        return
      case AFTER_VALUE:
        return this.#after(c)
      default:
    }
  }

  #after(c: number): void {
    if (this.#open.length === 0) {
      this.#expect = NOTHING
      if (c !== -1) this.#fault('something follows its end', this.#at)
      return
    }
    const inObject = this.#open[this.#open.length - 1] !== undefined
    if (c === COMMA) {
      this.#at++
      this.#expect = inObject ? NAME : VALUE
    } else if (c === (inObject ? END_OBJECT : END_ARRAY)) this.#close()
    else this.#end(`"," or "${inObject ? '}' : ']'}" is expected`, this.#at)
  }

  #value(c: number): void {
    const { values, depth } = this.#rules
    if (++this.#values > (values ?? Infinity)) return this.#end(`it has more than ${values} values`, this.#at)
    this.#pause -= VALUE_COST
    if (c === QUOTE) return this.#beginString(false)
    if (c !== OBJECT && c !== ARRAY) return this.#scalar(c)
    const object = c === OBJECT
    const nesting = this.#open.push(object ? null : undefined)
    if (nesting > depth) return this.#end(`it is nested more than ${depth} deep`, this.#at)
    this.#visit?.begin(object)
    this.#at++
    this.#expect = object ? FIRST_NAME : FIRST_VALUE
  }

  #close(): void {
    this.#at++
    this.#open.pop()
    this.#visit?.end()
    this.#expect = AFTER_VALUE
  }

  #name(c: number): void {
    if (c !== QUOTE) return this.#end('a name is expected', this.#at)
    this.#beginString(true)
  }

  #beginString(isName: boolean): void {
    this.#start = this.#at++
    this.#isName = isName
    this.#escaped = false
    this.#halves = false
    this.#good = true
    this.#decoded = ''
    this.#from = this.#at
    this.#readString()
  }

  /** Passes over a string, up to its end or the end of the slice. */
  #readString(): void {
    const text = this.#text
    const end = Math.min(text.length, this.#pause)
    let i = this.#at
    let good = this.#good
    let escaped = this.#escaped
    let halves = this.#halves
    let c = 0
    for (; i < end; i++) {
      c = text.charCodeAt(i)
      if (c > BACKSLASH) halves ||= (c & 0xf800) === 0xd800 // most letters
      else if (c === QUOTE) break
      else if (c === BACKSLASH) {
        escaped = true
        const letter = text.charCodeAt(++i)
        if (letter === 0x75 && FOUR_HEX.test(text.slice(i + 1, i + 5))) {
          halves ||= (text.charCodeAt(i + 1) | 0x20) === 0x64
          i += 4
        } else if (!(ESCAPED[letter]! > 0)) good = false
      } else if (c < 0x20) good = false
    }
    this.#at = i
    this.#good = good
    this.#escaped = escaped
    this.#halves = halves
    const start = this.#start
    if (i >= text.length) return this.#end('a string does not end', start)
    if (this.#isName && i - start - 1 > (this.#rules.nameLength ?? Infinity)) {
      return this.#end(`a name has more than ${this.#rules.nameLength} characters`, start)
    }
    if (i >= end) return this.#decodeSlice()
    this.#start = -1
    this.#at++
    this.#expect = this.#isName ? AFTER_NAME : AFTER_VALUE
    if (good) this.#endString(start, this.#isName)
    else this.#fault('a string holds a control character or a wrong escape', start)
  }

  /** Decodes this slice of a string that continues in the next one. */
  #decodeSlice(): void {
    if (this.#visit === undefined || !this.#good || !this.#escaped) return
    this.#decoded += decode(this.#text.slice(this.#from, this.#at))
    this.#from = this.#at
  }

  #endString(start: number, isName: boolean): void {
    const { loneSurrogates, indices, forbidden, names, allNames } = this.#rules
    const end = this.#at - 1
    const short = indices !== undefined && end - start - 1 <= LONGEST_INDEX
    const judged = loneSurrogates !== true && this.#halves
    if (!isName && !short && !judged && this.#visit === undefined) return
    const text = this.#escaped
      ? this.#decoded + decode(this.#text.slice(this.#from, end))
      : this.#text.slice(start + 1, end)
    if (judged && !text.isWellFormed()) this.#fault('a string is not valid Unicode', start)
    if (short && INDEX.test(text) && ++this.#indices === indices + 1) {
      this.#fault(`it has more than ${indices} texts that are numbers`, start)
    }
    if (!isName) return this.#visit?.value(text)
    const seen = this.#open.at(-1) ?? new Set()
    this.#open[this.#open.length - 1] = seen
    if (forbidden?.has(text) === true) this.#fault(`"${text}" is not accepted as a name`, start)
    if (seen.has(text)) this.#fault('a name appears twice in one object', start)
    seen.add(text)
    if (names !== undefined && seen.size > names) return this.#end(`an object has more than ${names} names`, start)
    if (++this.#names - 1 === allNames) return this.#end(`it has more than ${allNames} names`, start)
    this.#visit?.name(text)
  }

  #scalar(c: number): void {
    const start = this.#at
    this.#expect = AFTER_VALUE
    if (this.#rules.scalars === 'counts') return this.#count()
    const literal = LITERALS.find(([word]) => word.charCodeAt(0) === c && this.#text.startsWith(word, start))
    if (literal !== undefined) {
      this.#at += literal[0].length
      return this.#visit?.scalar?.(literal[1])
    }
    if (!this.#number()) return this.#expect === AFTER_VALUE ? this.#end('a value is expected', start) : undefined
    const value = Number(this.#text.slice(start, this.#at))
    if (Number.isFinite(value)) this.#visit?.scalar?.(value)
    else this.#fault('a number is too large', start)
  }

  // Hand-written: a regular expression may run out of stack on a number of many megabytes.
  #number(): boolean {
    const start = this.#at
    if (this.#is(MINUS)) this.#at++
    if (this.#is(ZERO)) this.#at++
    else if (!this.#digits(start)) return false
    if (this.#is(POINT)) {
      this.#at++
      if (!this.#digits(start)) return false
    }
    if (!this.#is(0x65) && !this.#is(0x45)) return true
    this.#at++
    if (this.#is(MINUS) || this.#is(PLUS)) this.#at++
    return this.#digits(start)
  }

  #is(code: number): boolean {
    return this.#text.charCodeAt(this.#at) === code
  }

  /** Skips digits; returns whether there was one. A number that is too long ends the walk. */
  #digits(start: number): boolean {
    const from = this.#at
    const limit = start + (this.#rules.numberLength ?? Infinity)
    const text = this.#text
    for (let c = text.charCodeAt(from); c >= ZERO && c <= NINE && this.#at <= limit;) c = text.charCodeAt(++this.#at)
    if (this.#at > limit) {
      this.#end(`a number has more than ${this.#rules.numberLength} characters`, start)
      return false
    }
    return this.#at > from
  }

  #count(): void {
    const start = this.#at
    this.#digits(start)
    const digits = this.#text.slice(start, this.#at)
    const value = Number(digits)
    if (digits === '') return this.#end('a non-negative integer, a string, an array or an object is expected', start)
    if (digits.length > 1 && digits[0] === '0') return this.#end('a number begins with 0', start)
    if (!Number.isSafeInteger(value)) return this.#end('a number is too large', start)
    this.#visit?.value(value)
  }

  /** Passes over white space. False where the slice ends in it. */
  #skipSpace(): boolean {
    const text = this.#text
    const end = Math.min(text.length, this.#pause)
    for (; this.#at < end; this.#at++) {
      const c = text.charCodeAt(this.#at)
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return true
    }
    return this.#at >= text.length
  }

  /** A fault after which nobody knows where the next value stands. */
  #end(problem: string, index: number): void {
    this.#expect = NOTHING
    this.#start = -1
    this.#fault(problem, index)
  }
}

/** The text of a part of a string that begins and ends between escapes. */
const decode = (written: string): string => JSON.parse(`"${written}"`) as string
