/**
 * What a GGUF file may claim before Verit refuses it. Each limit is far above what real models use; together they bound the memory and
 * time that opening a file can cost. Source of the format: ggml's `docs/gguf.md` (versions 2 and 3, little-endian).
 */
export const ggufLimits = {
  /** Metadata entries. Real models: 20 to 60. */
  keyValues: 4096,
  /** Tensors. Real models: up to a few thousand. */
  tensors: 65_536,
  /** Bytes of a metadata key. */
  keyBytes: 256,
  /** Bytes of a tensor name. ggml itself keeps 63, so the writer stays below that. */
  nameBytes: 64,
  writtenNameBytes: 63,
  /** Bytes of one string value, or of one string in an array. */
  stringBytes: 1 << 20,
  /** Elements of all metadata arrays together. A vocabulary of 256 k tokens with merges, scores and types has about 1 M. */
  arrayElements: 1 << 22,
  /** Bytes before the tensor data: everything that is parsed. */
  headerBytes: 1 << 26,
  dimensions: 4,
  minAlignment: 8,
  maxAlignment: 65_536,
  /** Bytes of one tensor, which is what `readTensor` allocates. */
  tensorBytes: 2 ** 34,
  /** Bytes of the file. */
  fileBytes: 2 ** 40,
} as const
