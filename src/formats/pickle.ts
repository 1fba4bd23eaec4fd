/**
 * Reads a pickle of PyTorch as data: numbers, texts, lists, dictionaries and tensors. A pickle is a program for a stack
 * machine that can call any function of Python by name. This reader knows the few names that tensors need and makes
 * plain values of them; every other name and every other instruction is refused, so nothing can be executed.
 * Sources: Python, Lib/pickletools.py; PyTorch, torch/_weights_only_unpickler.py (facts only).
 */
import { printable } from '../lib/printable.ts'

/** A reference to a storage: a file of the archive with numbers of one type. */
export interface Storage {
  readonly kind: 'storage'
  /** Type of an element by its name in safetensors. */
  readonly dtype: string
  readonly key: string
  /** Elements. */
  readonly length: number
}

export interface PickledTensor {
  readonly kind: 'tensor'
  readonly storage: Storage
  /** Elements from the start of the storage. */
  readonly offset: number
  readonly shape: readonly number[]
  /** Elements between neighbours in each dimension. */
  readonly strides: readonly number[]
}

/** A name of Python that stands for itself, such as `torch.float32`. */
interface Name {
  readonly kind: 'name'
  readonly name: string
}

export type Pickled =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Pickled[]
  | Map<Pickled, Pickled>
  | Storage
  | PickledTensor
  | Name

const MARK = Symbol('mark')

/** Instructions of one file. A checkpoint of 1,000 layers with its optimizer has about 500,000. */
const MOST_STEPS = 1 << 21
const MOST_STACK = 1 << 20

/** Storage classes, by the type of their elements. */
const STORAGES: Readonly<Record<string, string>> = {
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  DoubleStorage: 'F64',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL'
}

/** Functions that make a value, and what Verit makes of their arguments. */
const CALLS: Readonly<Record<string, (args: readonly Pickled[]) => Pickled | undefined>> = {
  'torch._utils._rebuild_tensor_v2': tensorOf,
  'torch._utils._rebuild_parameter': ([data]) => (isTensor(data) ? data : undefined),
  'collections.OrderedDict': args => dictionaryOf(args),
  'torch.Size': ([sizes]) => (Array.isArray(sizes) ? sizes : undefined),
  'torch.device': ([name]) => (typeof name === 'string' ? name : undefined)
}

/** Names that are values themselves. */
const VALUES = /^torch\.(?:float|double|half|bfloat16|u?int|long|short|bool|complex)\d*$/

const isTensor = (value: unknown): value is PickledTensor =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'tensor'
const isStorage = (value: unknown): value is Storage =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'storage'
const isName = (value: unknown): value is Name =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'name'
const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0

function tensorOf([storage, offset, shape, strides]: readonly Pickled[]): PickledTensor | undefined {
  const sound =
    isStorage(storage) &&
    isCount(offset) &&
    Array.isArray(shape) &&
    Array.isArray(strides) &&
    shape.length === strides.length &&
    shape.length <= 8 &&
    shape.every(isCount) &&
    strides.every(isCount)
  return sound ? { kind: 'tensor', storage, offset, shape: shape as number[], strides: strides as number[] } : undefined
}

/** `OrderedDict()` or `OrderedDict([[key, value], ...])`. */
function dictionaryOf([pairs]: readonly Pickled[]): Map<Pickled, Pickled> | undefined {
  if (pairs === undefined) return new Map()
  if (!Array.isArray(pairs) || !pairs.every(pair => Array.isArray(pair) && pair.length === 2)) return undefined
  return new Map((pairs as Pickled[][]).map(([key, value]) => [key!, value!]))
}

/**
 * The value of a pickle.
 * @param refuse reports a problem at a byte
 */
export function readPickle(bytes: Buffer, refuse: (problem: string, at: number) => never): Pickled {
  return new Machine(bytes, refuse).run()
}

type Item = Pickled | typeof MARK

class Machine {
  readonly #bytes: Buffer
  readonly #refuse: (problem: string, at: number) => never
  readonly #stack: Item[] = []
  readonly #memo = new Map<number, Pickled>()
  /** Elements of lists that calls went through. */
  #work = 0
  #at = 0
  /** Where the current instruction begins. */
  #start = 0

  constructor(bytes: Buffer, refuse: (problem: string, at: number) => never) {
    this.#bytes = bytes
    this.#refuse = refuse
  }

  run(): Pickled {
    for (let step = 0; step < MOST_STEPS; step++) {
      this.#start = this.#at
      const code = this.#take(1)[0]!
      if (code === 0x2e) return this.#pop() // STOP
      this.#step(code)
      if (this.#stack.length > MOST_STACK) this.#fail(`it holds more than ${MOST_STACK} values at once`)
    }
    return this.#fail(`it has more than ${MOST_STEPS} instructions`)
  }

  #step(code: number): void {
    switch (code) {
      case 0x80: // PROTO
        if (this.#take(1)[0]! > 5) this.#fail('its protocol is newer than 5')
        return
      case 0x95: // FRAME
        return void this.#take(8)
      case 0x28: // MARK
        return void this.#stack.push(MARK)
      case 0x30: // POP
        return void this.#stack.pop()
      case 0x4e: // NONE
        return this.#push(null)
      case 0x88: // NEWTRUE
        return this.#push(true)
      case 0x89: // NEWFALSE
        return this.#push(false)
      case 0x4b: // BININT1
        return this.#push(this.#take(1)[0]!)
      case 0x4d: // BININT2
        return this.#push(this.#take(2).readUInt16LE())
      case 0x4a: // BININT
        return this.#push(this.#take(4).readInt32LE())
      case 0x8a: // LONG1
        return this.#push(this.#long(this.#take(1)[0]!))
      case 0x47: // BINFLOAT
        return this.#push(this.#take(8).readDoubleBE())
      case 0x8c: // SHORT_BINUNICODE
        return this.#push(this.#text(this.#take(1)[0]!))
      case 0x58: // BINUNICODE
        return this.#push(this.#text(this.#take(4).readUInt32LE()))
      case 0x43: // SHORT_BINBYTES
        return this.#push(new Uint8Array(this.#take(this.#take(1)[0]!)))
      case 0x42: // BINBYTES
        return this.#push(new Uint8Array(this.#take(this.#take(4).readUInt32LE())))
      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        return this.#push([])
      case 0x7d: // EMPTY_DICT
        return this.#push(new Map())
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        return this.#push(this.#popMany(code - 0x84))
      case 0x74: // TUPLE
        return this.#push(this.#popToMark())
      case 0x61: // APPEND
        return this.#append([this.#pop()])
      case 0x65: // APPENDS
        return this.#append(this.#popToMark())
      case 0x73: // SETITEM
        return this.#setItems(this.#popMany(2))
      case 0x75: // SETITEMS
        return this.#setItems(this.#popToMark())
      case 0x71: // BINPUT
        return this.#put(this.#take(1)[0]!)
      case 0x72: // LONG_BINPUT
        return this.#put(this.#take(4).readUInt32LE())
      case 0x94: // MEMOIZE
        return this.#put(this.#memo.size)
      case 0x68: // BINGET
        return this.#get(this.#take(1)[0]!)
      case 0x6a: // LONG_BINGET
        return this.#get(this.#take(4).readUInt32LE())
      case 0x63: // GLOBAL
        return this.#name(this.#line(), this.#line())
      case 0x93: // STACK_GLOBAL
        return this.#stackName()
      case 0x51: // BINPERSID
        return this.#storage()
      case 0x52: // REDUCE
        return this.#call()
      case 0x62: // BUILD
        return this.#build()
      default:
        return this.#fail(
          `it has the instruction 0x${code.toString(16).padStart(2, '0')}, which plain data does not need`
        )
    }
  }

  #fail(problem: string): never {
    return this.#refuse(problem, this.#start)
  }

  #take(count: number): Buffer {
    if (this.#at + count > this.#bytes.length) this.#fail('it is cut')
    const taken = this.#bytes.subarray(this.#at, this.#at + count)
    this.#at += count
    return taken
  }

  #line(): string {
    const end = this.#bytes.indexOf(10, this.#at)
    if (end < 0 || end - this.#at > 200) return this.#fail('a name in it has no end')
    const text = this.#bytes.toString('latin1', this.#at, end)
    this.#at = end + 1
    return text
  }

  #text(length: number): string {
    return this.#take(length).toString('utf8')
  }

  /** Two's complement, little-endian. */
  #long(length: number): number | bigint {
    if (length > 16) return this.#fail(`it has a whole number of ${length} bytes`)
    const bytes = this.#take(length)
    if (length === 0) return 0
    let value = BigInt(bytes.readInt8(length - 1))
    for (let i = length - 2; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!)
    return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value
  }

  #push(value: Pickled): void {
    this.#stack.push(value)
  }

  #pop(): Pickled {
    const value = this.#stack.pop()
    return value === undefined || value === MARK ? this.#fail('it takes a value that is not there') : value
  }

  #popMany(count: number): Pickled[] {
    const values: Pickled[] = []
    for (let i = 0; i < count; i++) values.push(this.#pop())
    return values.toReversed()
  }

  #popToMark(): Pickled[] {
    const mark = this.#stack.lastIndexOf(MARK)
    if (mark < 0) return this.#fail('it takes values up to a mark that is not there')
    const values = this.#stack.splice(mark + 1) as Pickled[]
    this.#stack.pop()
    return values
  }

  #top(): Pickled {
    const value = this.#pop()
    this.#stack.push(value)
    return value
  }

  #append(values: readonly Pickled[]): void {
    const list = this.#top()
    if (!Array.isArray(list)) this.#fail('it appends to a value that is no list')
    else for (const value of values) list.push(value)
  }

  #setItems(values: readonly Pickled[]): void {
    const map = this.#top()
    if (!(map instanceof Map) || values.length % 2 !== 0)
      return this.#fail('it sets items of a value that is no dictionary')
    for (let i = 0; i < values.length; i += 2) map.set(values[i]!, values[i + 1]!)
  }

  #put(place: number): void {
    if (this.#memo.size >= MOST_STACK) this.#fail(`it keeps more than ${MOST_STACK} values`)
    this.#memo.set(place, this.#top())
  }

  #get(place: number): void {
    const value = this.#memo.get(place)
    if (value === undefined) this.#fail('it uses a value that it did not keep')
    else this.#push(value)
  }

  #name(module: string, name: string): void {
    const whole = `${module}.${name}`
    const storage = module === 'torch' && Object.hasOwn(STORAGES, name)
    if (!storage && !Object.hasOwn(CALLS, whole) && !VALUES.test(whole))
      this.#fail(`it uses ${printable(whole, 80)}, which is not data`)
    this.#push({ kind: 'name', name: whole })
  }

  #stackName(): void {
    const [module, name] = this.#popMany(2)
    if (typeof module !== 'string' || typeof name !== 'string')
      this.#fail('it names a function by a value that is no text')
    else this.#name(module, name)
  }

  /** `('storage', class, key, device, elements)` */
  #storage(): void {
    const id = this.#pop()
    const [tag, type, key, , length] = Array.isArray(id) ? id : []
    const dtype = isName(type) ? STORAGES[type.name.replace(/^torch\./, '')] : undefined
    if (tag !== 'storage' || dtype === undefined || typeof key !== 'string' || !isCount(length))
      return this.#fail('it refers to something else than a storage of numbers')
    this.#push({ kind: 'storage', dtype, key, length })
  }

  #call(): void {
    const [callee, args] = this.#popMany(2)
    const name = isName(callee) ? callee.name : 'a value'
    const make = Object.hasOwn(CALLS, name) ? CALLS[name]! : undefined
    if (make === undefined || !Array.isArray(args))
      return this.#fail(`it calls ${printable(name, 80)}, which is not data`)
    this.#work += Array.isArray(args[0]) ? args[0].length : 0
    if (this.#work > MOST_STEPS) return this.#fail(`its calls have more than ${MOST_STEPS} elements`)
    const value = make(args)
    if (value === undefined) return this.#fail(`it calls ${name} with arguments that do not fit`)
    this.#push(value)
  }

  /** Attributes of a dictionary, such as `_metadata`: nothing of the model, so they are left out. */
  #build(): void {
    const state = this.#pop()
    if (!(this.#top() instanceof Map) || !(state instanceof Map))
      this.#fail('it sets the state of a value that is no dictionary')
  }
}
