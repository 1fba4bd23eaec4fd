/** Turns the nodes of a graph into operations of ONNX, one lowering per op (onnx-lowerings.ts). */
import { OnnxBuilder } from '../formats/onnx.ts'
import type { OnnxAttribute } from '../formats/onnx.ts'
import type { Graph, Node, Tensor } from '../graph/graph.ts'
import { invariant } from '../lib/errors.ts'
import type { Dim } from '../ops/sizes.ts'

/** Returns the names of the outputs that other nodes may read. */
export type Lowering = (e: OnnxEmitter, node: Node) => string[]

export class OnnxEmitter {
  readonly onnx: OnnxBuilder
  readonly graph: Graph
  readonly #lowerings: Readonly<Record<string, Lowering>>
  readonly #names = new Map<Tensor, string>()
  readonly #constants = new Map<string, string>()

  constructor(onnx: OnnxBuilder, graph: Graph, lowerings: Readonly<Record<string, Lowering>>) {
    this.onnx = onnx
    this.graph = graph
    this.#lowerings = lowerings
  }

  /** Gives a tensor of the graph its name in the model. */
  name(tensor: Tensor, name: string): void {
    this.#names.set(tensor, name)
  }

  nameOf(tensor: Tensor | null | undefined): string {
    const name = tensor ? this.#names.get(tensor) : undefined
    invariant(name !== undefined, `the tensor ${tensor?.name} has a name in ONNX`)
    return name
  }

  /** Lowers all nodes that a tensor needs, in order. Returns its name. */
  lower(result: Tensor): string {
    const needed = new Set<Node>()
    const visit: Tensor[] = [result]
    for (let tensor = visit.pop(); tensor !== undefined; tensor = visit.pop()) {
      const node = this.graph.producer(tensor)
      if (node === null || needed.has(node)) continue
      needed.add(node)
      for (const input of node.inputs) if (input !== null) visit.push(input)
    }
    for (const node of this.graph.nodes.filter(one => needed.has(one))) {
      const names = this.#lowerings[node.op.name]!(this, node)
      for (const [i, name] of names.entries()) if (node.outputs[i]) this.name(node.outputs[i], name)
    }
    return this.nameOf(result)
  }

  /** Ops of the graph that have no lowering. */
  missing(): string[] {
    return [...new Set(this.graph.nodes.map(node => node.op.name))].filter(
      name => !Object.hasOwn(this.#lowerings, name)
    )
  }

  /** An operation with one output. */
  op(name: string, inputs: readonly string[], attributes: Readonly<Record<string, OnnxAttribute>> = {}): string {
    return this.onnx.node(name, inputs, attributes)[0]!
  }

  /** A constant list of whole numbers. */
  ints(...values: number[]): string {
    const data = BigInt64Array.from(values, BigInt)
    return this.#constant(`ints.${values.join('_')}`, name =>
      this.onnx.constant(name, 'int64', [values.length], new Uint8Array(data.buffer))
    )
  }

  /** A constant whole number. */
  int(value: number): string {
    const data = BigInt64Array.of(BigInt(value))
    return this.#constant(`int.${value}`, name => this.onnx.constant(name, 'int64', [], new Uint8Array(data.buffer)))
  }

  /** A constant number. */
  float(value: number): string {
    const data = Float32Array.of(value)
    return this.#constant(`float.${value}`, name => this.onnx.constant(name, 'float', [], new Uint8Array(data.buffer)))
  }

  /** x with the sizes of a constant shape; 0 keeps a size, -1 takes what is left. */
  reshape(x: string, ...shape: number[]): string {
    return this.op('Reshape', [x, this.ints(...shape)])
  }

  #constant(name: string, make: (name: string) => string): string {
    const known = this.#constants.get(name)
    if (known !== undefined) return known
    this.#constants.set(name, name)
    return make(name)
  }
}

/** An attribute of a node that must be a number. */
export function attributeOf({ op, a }: Node, name: string): number {
  const value: Dim | undefined = a[name]
  invariant(typeof value === 'number', `the attribute ${name} of ${op.name} is a number`)
  return value
}
