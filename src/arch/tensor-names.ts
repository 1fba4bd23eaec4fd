/** Names of the parameters in GGUF files, as llama.cpp writes them. */

const OUTER: Readonly<Record<string, string>> = {
  token_embedding: 'token_embd.weight',
  position_embedding: 'position_embd.weight',
  'head.weight': 'output.weight',
  'head.bias': 'output.bias',
  'final_norm.weight': 'output_norm.weight',
  'final_norm.bias': 'output_norm.bias'
}

/**
 * A function from a parameter to its GGUF name: 'blocks.3.attn_out.weight' -> 'blk.3.attn_output.weight'.
 * @param inner names of layers inside a block; one that is not listed has GGUF's own name
 */
export const tensorNames =
  (inner: Readonly<Record<string, string>> = {}) =>
  (parameter: string): string => {
    const outer = OUTER[parameter]
    if (outer !== undefined) return outer
    const [, block, ...layer] = parameter.split('.')
    const suffix = layer.pop()!
    const name = layer.join('.')
    return `blk.${block}.${inner[name] ?? name}.${suffix}`
  }
