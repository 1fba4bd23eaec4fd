/**
 * The prompt of a reranker in the form of Qwen3-Reranker: the model judges with "yes" or "no" whether a document
 * answers a query. Source: the model card of Qwen3-Reranker.
 */
import { VeritError } from '../lib/errors.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'

export interface RerankRequest {
  readonly query: string
  readonly documents: readonly string[]
  /** What a document must do. Default: that of the model card. */
  readonly instruction?: string
}

const INSTRUCTION = 'Given a web search query, retrieve relevant passages that answer the query'
const BEFORE =
  '<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct ' +
  'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
const AFTER = '<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n'

/**
 * The ids of the two answers.
 * @throws VeritError VERIT_UNSUPPORTED for a vocabulary without the marks and answers of this form
 */
export function answersOf(tokenizer: TextTokenizer, engine: string): readonly [yes: number, no: number] {
  const [yes, no] = [tokenizer.tokenId('yes'), tokenizer.tokenId('no')]
  const marked = tokenizer.tokenId('<|im_start|>') !== undefined && tokenizer.tokenId('<|im_end|>') !== undefined
  if (yes === undefined || no === undefined || !marked)
    throw new VeritError('VERIT_UNSUPPORTED', { what: 'reranking with a model that is no Qwen3-Reranker', engine })
  return [yes, no]
}

/** One prompt per document. Marks in the texts of the caller are plain text. */
export function rerankPrompts(
  tokenizer: TextTokenizer,
  { query, documents, instruction = INSTRUCTION }: RerankRequest
): Int32Array[] {
  const marked = (text: string): Int32Array => tokenizer.encode(text, { allowSpecial: true })
  const [before, after] = [marked(BEFORE), marked(AFTER)]
  return documents.map(document => {
    const body = tokenizer.encode(`<Instruct>: ${instruction}\n<Query>: ${query}\n<Document>: ${document}`)
    return Int32Array.from([...before, ...body, ...after])
  })
}
