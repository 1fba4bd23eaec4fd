/**
 * Walks JSON text (RFC 8259) once, before or instead of building it: its whole grammar, how deep it is nested, no name twice in one object (two readers
 * could disagree on which counts), and the further limits that its reader asks for. JSON.parse reads every text that passes.
 */

export interface JsonRules {
  /** Objects and arrays within each other, at most. */
  readonly depth: number
  /** Whether an escape may stand for half a character. Default false. */
  readonly loneSurrogates?: boolean
  /** Default 'any': numbers as JSON has them, true, false and null. 'counts': integers from 0 to 2^53 - 1, and no other value but texts. */
  readonly scalars?: 'any' | 'counts'
  /** Names in one object and in all, where the walk ends at one more; names and texts such as "17". Default: not bounded. */
  readonly names?: number
  readonly allNames?: number
  readonly indices?: number
  /** Values of every kind, in all; the walk ends at one more. Default: not bounded. */
  readonly values?: number
  readonly forbidden?: ReadonlySet<string>
}

/** What was walked over, in order. */
export interface JsonVisitor {
  begin(object: boolean): void
  name(name: string): void
  value(value: string | number): void
  end(): void
}

/** @param problem part of a sentence @param index in UTF-16 units, never below that of the fault before. If it comes back the walk goes on, as long as it is known where the next value stands. */
export type JsonFault = (problem: string, index: number) => void

/** @param visit is told of texts, and of numbers when they are counts; default: nothing is made of the text */
export function walkJson(text: string, rules: JsonRules, fault: JsonFault, visit?: JsonVisitor): void {
  new Walk(text, rules, fault, visit).run()
}

/** Bytes of UTF-8 before an index. */
export const byteOf = (text: string, index: number): number => Buffer.byteLength(text.slice(0, index))

const QUOTE = 0x22, PLUS = 0x2b, COMMA = 0x2c, MINUS = 0x2d, POINT = 0x2e, ZERO = 0x30, NINE = 0x39, COLON = 0x3a, ARRAY = 0x5b, BACKSLASH = 0x5c, END_ARRAY = 0x5d,
  OBJECT = 0x7b, END_OBJECT = 0x7d
const ESCAPED = Uint8Array.from({ length: 128 }, (_, code) => ('"\\/bfnrt'.includes(String.fromCharCode(code)) ? 1 : 0))
const FOUR_HEX = /^[\da-f]{4}$/i
const LITERALS = ['true', 'false', 'null']
/** V8 keeps these apart from other texts, under hashes that anyone can make collide. */
const INDEX = /^\d{1,10}$/
/** The longest way to write ten characters. */
const LONGEST_INDEX = 60

class Walk {
  #text: string
  #rules: JsonRules
  #fault: JsonFault
  #visit: JsonVisitor | undefined
  #at = 0
  /** The names of each open object, null before its first; undefined for an array. */
  #open: (Set<string> | null | undefined)[] = []
  #names = 0
  #values = 0
  #indices = 0
  /** Of the string that was read last: whether it has escapes, and whether halves of characters. */
  #escaped = false
  #halves = false

  constructor(text: string, rules: JsonRules, fault: JsonFault, visit: JsonVisitor | undefined) {
    this.#text = text
    this.#rules = rules
    this.#fault = fault
    this.#visit = visit
  }

  run(): void {
    while (this.#value()) {
      // a value that is not the beginning of others: what follows it?
      for (;;) {
        const next = this.#next()
        if (this.#open.length === 0) return next === -1 ? undefined : void this.#fault('something follows its end', this.#at)
        const inObject = this.#open.at(-1) !== undefined
        if (next === COMMA) {
          this.#at++
          if (inObject && !this.#name()) return
          break
        }
        if (next !== (inObject ? END_OBJECT : END_ARRAY)) return this.#fault(`"," or "${inObject ? '}' : ']'}" is expected`, this.#at)
        this.#close()
      }
    }
  }

  /** Reads a value, and of one that holds others all up to the first of these that holds none. False when the walk is over. */
  #value(): boolean {
    for (;;) {
      const c = this.#next()
      if (++this.#values > (this.#rules.values ?? Infinity)) return this.#end(`it has more than ${this.#rules.values} values`, this.#at)
      if (c === QUOTE) return this.#string(false)
      if (c !== OBJECT && c !== ARRAY) return this.#scalar(c)
      const object = c === OBJECT
      if (this.#open.push(object ? null : undefined) > this.#rules.depth) return this.#end(`it is nested more than ${this.#rules.depth} deep`, this.#at)
      this.#visit?.begin(object)
      this.#at++
      if (this.#next() === (object ? END_OBJECT : END_ARRAY)) {
        this.#close()
        return true
      }
      if (object && !this.#name()) return false
    }
  }

  #close(): void {
    this.#at++
    this.#open.pop()
    this.#visit?.end()
  }

  #name(): boolean {
    if (this.#next() !== QUOTE) return this.#end('a name is expected', this.#at)
    if (!this.#string(true)) return false
    if (this.#next() !== COLON) return this.#end('":" is expected', this.#at)
    this.#at++
    return true
  }

  #string(isName: boolean): boolean {
    const start = this.#at, { loneSurrogates, indices, forbidden, names, allNames } = this.#rules
    const good = this.#closing()
    if (good === undefined) return this.#end('a string does not end', start)
    if (!good) {
      this.#fault('a string holds a control character or a wrong escape', start)
      return true
    }
    const length = this.#at - start - 2
    const short = indices !== undefined && length <= LONGEST_INDEX
    const judged = loneSurrogates !== true && this.#halves
    if (!isName && !short && !judged && this.#visit === undefined) return true
    const text = this.#escaped ? JSON.parse(this.#text.slice(start, this.#at)) as string : this.#text.slice(start + 1, this.#at - 1)
    if (judged && !text.isWellFormed()) this.#fault('a string is not valid Unicode', start)
    if (short && INDEX.test(text) && ++this.#indices === indices + 1) this.#fault(`it has more than ${indices} texts that are numbers`, start)
    if (!isName) {
      this.#visit?.value(text)
      return true
    }
    const seen = this.#open.at(-1) ?? new Set()
    this.#open[this.#open.length - 1] = seen
    if (forbidden?.has(text) === true) this.#fault(`"${text}" is not accepted as a name`, start)
    if (seen.has(text)) this.#fault('a name stands twice in one object', start)
    seen.add(text)
    if (names !== undefined && seen.size > names) return this.#end(`an object has more than ${names} names`, start)
    if (++this.#names - 1 === allNames) return this.#end(`it has more than ${allNames} names`, start)
    this.#visit?.name(text)
    return true
  }

  /** Passes over a string. False when it holds what no string may; undefined when it does not end. */
  #closing(): boolean | undefined {
    const text = this.#text, length = text.length
    let i = this.#at + 1, good = true, escaped = false, halves = false
    for (; i < length; i++) {
      const c = text.charCodeAt(i)
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
    this.#at = i + 1
    this.#escaped = escaped
    this.#halves = halves
    return i < length ? good : undefined
  }

  #scalar(c: number): boolean {
    const start = this.#at
    if (this.#rules.scalars === 'counts') return this.#count()
    const literal = LITERALS.find(word => word.charCodeAt(0) === c && this.#text.startsWith(word, start))
    if (literal !== undefined) this.#at += literal.length
    else if (!this.#number()) return this.#end('a value is expected', start)
    else if (!Number.isFinite(Number(this.#text.slice(start, this.#at)))) this.#fault('a number is too large', start)
    return true
  }

  // Hand-written: a regular expression may run out of stack on a number of many megabytes.
  #number(): boolean {
    if (this.#is(MINUS)) this.#at++
    if (this.#is(ZERO)) this.#at++
    else if (!this.#digits()) return false
    if (this.#is(POINT)) {
      this.#at++
      if (!this.#digits()) return false
    }
    if (!this.#is(0x65) && !this.#is(0x45)) return true
    this.#at++
    if (this.#is(MINUS) || this.#is(PLUS)) this.#at++
    return this.#digits()
  }

  #is(code: number): boolean {
    return this.#text.charCodeAt(this.#at) === code
  }

  /** Passes over digits, and says whether there was one. */
  #digits(): boolean {
    const start = this.#at
    for (let c = this.#text.charCodeAt(start); c >= ZERO && c <= NINE;) c = this.#text.charCodeAt(++this.#at)
    return this.#at > start
  }

  #count(): boolean {
    const start = this.#at
    this.#digits()
    const digits = this.#text.slice(start, this.#at), value = Number(digits)
    if (digits === '') return this.#end('a non-negative integer, a string, an array or an object is expected', start)
    if (digits.length > 1 && digits[0] === '0') return this.#end('a number begins with 0', start)
    if (!Number.isSafeInteger(value)) return this.#end('a number is too large', start)
    this.#visit?.value(value)
    return true
  }

  /** The code of what stands behind the space; -1 at the end. */
  #next(): number {
    const text = this.#text, length = text.length
    for (; this.#at < length; this.#at++) {
      const c = text.charCodeAt(this.#at)
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return c
    }
    return -1
  }

  /** A fault after which nobody knows where the next value stands. */
  #end(problem: string, index: number): false {
    this.#fault(problem, index)
    return false
  }
}
