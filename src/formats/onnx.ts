/**
 * Builds a model in the format ONNX (onnx.proto3, IR version 8). Large tensors are external data: their bytes are in a
 * file of their own, by offset and length. Knows no model.
 */
import { ProtobufWriter } from './protobuf-writer.ts'

export type OnnxType = 'float' | 'int64'

const TYPES: Readonly<Record<OnnxType, number>> = { float: 1, int64: 7 }
const IR_VERSION = 8
const EXTERNAL = 1

/** Types of attributes. */
const ATTRIBUTE = { float: 1, int: 2, ints: 7 } as const

export type OnnxAttribute = { readonly float: number } | { readonly int: number } | { readonly ints: readonly number[] }

/** A number, or the name of a size that is known at run time. */
export type OnnxDim = number | string

/** A tensor in the file of external data. */
export interface ExternalTensor {
  readonly name: string
  readonly shape: readonly number[]
  /** From the beginning of the file, a multiple of 64. */
  readonly offset: number
  readonly length: number
}

/** Alignment of external tensors, for readers that map the file. */
const ALIGNMENT = 64

export class OnnxBuilder {
  readonly external: ExternalTensor[] = []
  readonly #file: string
  readonly #nodes: ((w: ProtobufWriter) => void)[] = []
  readonly #initializers: ((w: ProtobufWriter) => void)[] = []
  readonly #inputs: ((w: ProtobufWriter) => void)[] = []
  readonly #outputs: ((w: ProtobufWriter) => void)[] = []
  #made = 0
  #end = 0

  /** @param file name of the file with external data, beside the model */
  constructor(file: string) {
    this.#file = file
  }

  input(name: string, type: OnnxType, shape: readonly OnnxDim[]): string {
    this.#inputs.push(valueInfo(name, type, shape))
    return name
  }

  output(name: string, type: OnnxType, shape: readonly OnnxDim[]): void {
    this.#outputs.push(valueInfo(name, type, shape))
  }

  /**
   * Adds an operation.
   * @param inputs names; '' for one that is absent
   * @param outputs names, or how many are to be made
   * @returns names of the outputs
   */
  node(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    outputs: number | readonly string[] = 1
  ): string[] {
    const names =
      typeof outputs === 'number'
        ? Array.from({ length: outputs }, () => `${op.toLowerCase()}.${this.#made++}`)
        : [...outputs]
    this.#nodes.push(w => {
      for (const input of inputs) w.text(1, input)
      for (const output of names) w.text(2, output)
      w.text(3, `node.${names[0]}`).text(4, op)
      for (const [name, value] of Object.entries(attributes)) w.message(5, attribute(name, value))
    })
    return names
  }

  /** A small tensor in the model itself. */
  constant(name: string, type: OnnxType, shape: readonly number[], data: Uint8Array): string {
    this.#initializers.push(w => {
      for (const n of shape) w.varint(1, n)
      w.varint(2, TYPES[type]).text(8, name).bytes(9, data)
    })
    return name
  }

  /** A tensor of f32 in the file of external data. */
  weight(name: string, shape: readonly number[]): string {
    const length = 4 * shape.reduce((a, b) => a * b, 1)
    const offset = this.#end
    this.external.push({ name, shape, offset, length })
    this.#end = Math.ceil((offset + length) / ALIGNMENT) * ALIGNMENT
    this.#initializers.push(w => {
      for (const n of shape) w.varint(1, n)
      w.varint(2, TYPES.float).text(8, name)
      for (const [key, value] of [
        ['location', this.#file],
        ['offset', String(offset)],
        ['length', String(length)]
      ] as const)
        w.message(13, entry => entry.text(1, key).text(2, value))
      w.varint(14, EXTERNAL)
    })
    return name
  }

  /**
   * The bytes of the model.
   * @param opset version of the operators
   * @param producer program and version
   */
  done(name: string, opset: number, producer: readonly [name: string, version: string]): Buffer {
    return new ProtobufWriter()
      .varint(1, IR_VERSION)
      .text(2, producer[0])
      .text(3, producer[1])
      .message(7, graph => {
        for (const write of this.#nodes) graph.message(1, write)
        graph.text(2, name)
        for (const write of this.#initializers) graph.message(5, write)
        for (const write of this.#inputs) graph.message(11, write)
        for (const write of this.#outputs) graph.message(12, write)
      })
      .message(8, set => set.text(1, '').varint(2, opset))
      .done()
  }
}

const valueInfo =
  (name: string, type: OnnxType, shape: readonly OnnxDim[]) =>
  (w: ProtobufWriter): void => {
    w.text(1, name).message(2, kind =>
      kind.message(1, tensor => {
        tensor.varint(1, TYPES[type]).message(2, sizes => {
          for (const dim of shape)
            sizes.message(1, one => (typeof dim === 'number' ? one.varint(1, dim) : one.text(2, dim)))
        })
      })
    )
  }

const attribute =
  (name: string, value: OnnxAttribute) =>
  (w: ProtobufWriter): void => {
    w.text(1, name)
    if ('float' in value) w.float(2, value.float).varint(20, ATTRIBUTE.float)
    else if ('int' in value) w.varint(3, value.int).varint(20, ATTRIBUTE.int)
    else {
      for (const one of value.ints) w.varint(8, one)
      w.varint(20, ATTRIBUTE.ints)
    }
  }
