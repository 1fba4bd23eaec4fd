/** Text of a model or server without terminal escape sequences. Files and pipes get it unchanged. */

const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu

export function forTerminal(text: string): string {
  return process.stdout.isTTY ? text.replace(CONTROLS, c => (c === '\n' || c === '\t' ? c : '\ufffd')) : text
}
