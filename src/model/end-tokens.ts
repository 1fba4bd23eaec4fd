/**
 * Names of tokens that end a text or a turn wherever a vocabulary has them as special tokens. Many files name such a
 * token in no key, so programs know it by its text; the names are those that llama.cpp looks for (`llama-vocab.cpp`).
 * The order is fixed, so that the same file gives the same result everywhere.
 */

/** Names of tokens that end one turn of a conversation: candidates for a file's end-of-turn key. */
export const turnEnds: readonly string[] = [
  '<|eot_id|>',
  '<|im_end|>',
  '<|end|>',
  '<end_of_turn>',
  '<turn|>',
  '<end_of_utterance>',
  '<EOT>',
  '_<EOT>',
  '[EOT]',
  '<|return|>'
]

/** The token that ends a message which a tool's answer follows. */
export const MESSAGE_END = '<|eom_id|>'

/** Every name, turn ends first. */
export const endTexts: readonly string[] = [
  ...turnEnds,
  MESSAGE_END,
  '<|endoftext|>',
  '<|end_of_text|>',
  '</s>',
  '<eos>',
  '[EOS]',
  '<\uff5cend\u2581of\u2581sentence\uff5c>',
  '<|call|>',
  '<|calls|>',
  '<|flush|>',
  '<|tool_response>',
  '[e~[',
  // Fill-in-the-middle: padding and the border to another file.
  '<|fim_pad|>',
  '<fim-pad>',
  '<fim_pad>',
  '<|fim_repo|>',
  '<|repo_name|>',
  '<fim-repo>',
  '<reponame>',
  '<|file_sep|>'
]

const known: ReadonlySet<string> = new Set(endTexts)

export const isEndText = (text: string): boolean => known.has(text)

/**
 * The names of `endTexts` that end a text in a vocabulary which has those of `present`. Two families use a name of
 * the list for something else: with `<|return|>` and `<|call|>`, or `<|calls|>` and `<|flush|>`, `<|end|>` only
 * separates messages; with `<|tool_response>`, `</s>` does not end an answer.
 */
export function endTextsAmong(present: (text: string) => boolean): string[] {
  const separates =
    (present('<|return|>') && (present('<|call|>') || present('<|calls|>'))) ||
    ((present('<|call|>') || present('<|calls|>')) && present('<|flush|>'))
  return endTexts.filter(
    text => present(text) && !(text === '<|end|>' && separates) && !(text === '</s>' && present('<|tool_response>'))
  )
}
