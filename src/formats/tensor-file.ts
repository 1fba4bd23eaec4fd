/** A file of named tensors without a model: safetensors, or weights of PyTorch. */

export interface TensorEntry {
  /** Type of an element by its name in safetensors, such as F32 or BF16. */
  readonly dtype: string
  /** Row-major; empty for a scalar. */
  readonly shape: readonly number[]
  readonly byteLength: number
}

export interface TensorFile extends Disposable {
  /** Name in errors. */
  readonly name: string
  readonly tensors: ReadonlyMap<string, TensorEntry>
  /** The bytes of one tensor, little-endian. */
  read(name: string): Uint8Array<ArrayBuffer>
  /** Bytes of a tensor from `from` on, as many as `target` has room for. */
  readPart(name: string, from: number, target: Uint8Array): void
}
