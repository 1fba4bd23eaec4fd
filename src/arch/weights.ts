/** How the operations of a model reach its parameters, whatever form they are kept in. */
import type { Tensor } from '../graph/graph.ts'

/** A model's parameters inside one graph. */
export interface Weights {
  /** Rows of the token embedding: ids [N] -> [N, hidden]. */
  embed(ids: Tensor): Tensor
  /**
   * Logits: x [N, hidden] times the transposed head (the token embedding if the model has no other) -> [N, vocab].
   * @param top i32[N], for a screened head only: how many of the largest logits of each row are needed; 0: all. Other
   *   logits may be -∞
   */
  head(x: Tensor, top?: Tensor): Tensor
  /** The f32 tensor of a parameter. */
  tensor(name: string): Tensor
  /** `name.bias` if the model has it. */
  bias(name: string): Tensor | undefined
  /** x [N, in] times the transposed matrix `name.weight`, plus `name.bias` if the model has it -> [N, out]. */
  linear(x: Tensor, name: string): Tensor
  /** x times the ternary matrix `name.weight`, with the input quantised to 8 bits a row. */
  bitLinear(x: Tensor, name: string): Tensor
  /**
   * Products with the matrices that the rows chose of `name.weight` [experts, out, in], plus `name.bias` [experts,
   * out] if the model has it.
   * @param x [N, in], the same for each choice, or [N, k · in]
   * @param experts i32 [N, k]
   * @returns [N, k · out]
   */
  expertLinear(x: Tensor, name: string, experts: Tensor): Tensor
}
