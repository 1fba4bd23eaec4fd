/**
 * Text of a model or a server as a terminal may see it: without escape sequences, which could move the cursor or worse.
 * Files and pipes get it as it is.
 */

const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu

export function forTerminal(text: string): string {
  return process.stdout.isTTY ? text.replace(CONTROLS, c => (c === '\n' || c === '\t' ? c : '\ufffd')) : text
}
