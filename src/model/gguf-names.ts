/** Names of tensors that a GGUF file may have besides the parameters. */

/**
 * Where a file may have a further factor of a ternary matrix, of one element: 'blk.0.attn_q.weight' ->
 * 'blk.0.attn_q.scale'.
 */
export const scaleName = (matrix: string): string => matrix.replace(/weight$/, 'scale')
