/** An entry in one line for a person. Everything in it that came from outside is escaped. */
import { printable, printableJson } from '../lib/printable.ts'
import type { AuditEntry } from './entry.ts'

/**
 * `2026-11-22 08:31:05  request  200 POST /v1/completions  key_....1  192.0.2.7  verit-sotu  12+34 tokens  80 ms
 * req_...`
 */
export function describeEntry(entry: AuditEntry): string {
  return `${entry.time.slice(0, 19).replace('T', ' ')}  ${entry.type.padEnd(12)}  ${words(entry)}`
}

function words(entry: AuditEntry): string {
  const p = (text: string | undefined): string => printable(text ?? '', 100)
  const detail = (value: Record<string, unknown>): string => {
    const json = printableJson(value)
    return json.length > 300 ? `${json.slice(0, 300)}…` : json
  }
  switch (entry.type) {
    case 'request': {
      const tokens =
        entry.promptTokens === undefined ? [] : [`${entry.promptTokens}+${entry.completionTokens ?? 0} tokens`]
      // its credential: the key's id, and who still uses the secret before a rotation
      const who = [p(entry.credential ?? entry.key), p(entry.remote)]
      const work = [p(entry.model), ...tokens, `${Math.round(entry.ms)} ms`, p(entry.request)]
      return [`${entry.status} ${p(entry.route)}`, p(entry.code), ...who, ...work].filter(w => w !== '').join('  ')
    }
    case 'auth':
      return [`refused ${p(entry.route)}`, p(entry.code), p(entry.remote), p(entry.key), p(entry.request)]
        .filter(w => w !== '')
        .join('  ')
    case 'auth.summary':
      return `${entry.refused} more refused in ${entry.seconds} s  ${p(entry.remote)}`
    case 'key':
      return `${p(entry.event)}  by ${p(entry.actor)}  ${detail(entry.detail)}`
    case 'server':
      return `${entry.event}  ${detail(entry.detail)}`
    case 'config':
      return `${p(entry.digest)}  ${detail(entry.detail)}`
    case 'alert':
      return `${p(entry.rule)}  ${p(entry.key)}  ${detail(entry.detail)}`
  }
}
