/**
 * Limits of GGUF files, each far above real models; together they bound the memory and time of opening a file. Source
 * of the format: ggml's `docs/gguf.md` (versions 2 and 3, little-endian).
 */
export const ggufLimits = {
  /** Metadata entries. Real models: 20 to 60. */
  keyValues: 1024,
  /** Tensors. Real models: up to about 2,000. */
  tensors: 8192,
  /** Bytes of a metadata key. */
  keyBytes: 256,
  /** Bytes of a tensor name. ggml itself keeps 63, so the writer stays below that. */
  nameBytes: 64,
  writtenNameBytes: 63,
  /** Bytes of one string value, or of one string in an array. */
  stringBytes: 1 << 20,
  /**
   * Elements of all metadata arrays together. The largest vocabularies (200 k to 260 k tokens, with their types, scores
   * or merges) have about 0.85 M.
   */
  arrayElements: 1 << 21,
  /** Bytes before the tensor data: everything that is parsed. With the largest vocabularies about 13 MB. */
  headerBytes: 1 << 25,
  dimensions: 4,
  minAlignment: 8,
  maxAlignment: 65_536,
  /** Bytes of one tensor: the size that `readTensor` allocates. */
  tensorBytes: 2 ** 34,
  /** Bytes of the file. */
  fileBytes: 2 ** 40
} as const
