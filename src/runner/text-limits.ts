/**
 * Limits of the text that a runner may send. Both sides count alike: an honest runner ends a call before the limit. The
 * limits follow from the request, never from the runner's statements about its model.
 */

/**
 * Longest text of one token, in UTF-16 units: no tokenizer has a longer one (MAX_TOKEN_LENGTH in
 * src/tokenizer/parts.ts).
 */
export const TOKEN_TEXT = 4096
/**
 * Longest text of one event: a token, and text held back before it: up to 3 bytes of a character and 255 units that
 * could begin a stop string.
 */
export const EVENT_TEXT = TOKEN_TEXT + 512
/** Most alternatives of one token. */
export const ALTERNATIVES = 20

/**
 * Text of a token or alternative on average: the longest tokens of the vocabularies in use (GPT-2, Llama 3, Qwen) have
 * 128 characters.
 */
const MEAN_TEXT = 128
/** Beyond the mean: an answer may begin with some of the longest tokens. */
const SLACK = 64 << 10

/** The text of one call, as it comes. */
export class TextBudget {
  #left = SLACK

  /** Takes the text of a token and of its alternatives. Says whether that was still allowed. */
  take(text: string, alternatives: readonly { readonly text: string }[] = []): boolean {
    this.#left += MEAN_TEXT * (1 + alternatives.length) - text.length
    for (const { text: other } of alternatives) this.#left -= other.length
    return this.#left >= 0
  }
}
