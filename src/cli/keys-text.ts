/** Keys as text for a person, in 80 columns. */
import { printable } from '../lib/printable.ts'
import type { KeyLimits, KeyRecord } from '../store/key-store.ts'
import type { BudgetUsage, BudgetWindow } from '../store/store.ts'

const NAME_COLUMNS = 24

const limitNames: Readonly<Record<keyof KeyLimits, string>> = {
  requestsPerMinute: 'requests per minute',
  tokensPerMinute: 'tokens per minute',
  streams: 'answers at once',
  tokensPerDay: 'tokens per day',
  tokensPerMonth: 'tokens per month',
  promptTokens: 'maximum length of a prompt',
  outputTokens: 'maximum length of an answer'
}

const minute = (time: string): string => time.slice(0, 16).replace('T', ' ')
const digits = (n: number): string => n.toLocaleString('en-US')

function stateOf(key: KeyRecord, now: Date): 'valid' | 'revoked' | 'expired' {
  if (key.revoked !== undefined) return 'revoked'
  return key.expires !== undefined && key.expires <= now.toISOString() ? 'expired' : 'valid'
}

/** One line a key. @param cut whether long names are cut to fit */
export function listText(keys: readonly KeyRecord[], cut: boolean, now: Date): string {
  if (keys.length === 0) return 'There are no keys yet; `verit keys create` makes one.\n'
  const row = (id: string, kind: string, state: string, used: string, name: string): string =>
    `${id.padEnd(16)}  ${kind.padEnd(11)}  ${state.padEnd(7)}  ${used.padEnd(16)}  ${name}\n`
  const name = (text: string): string =>
    cut && text.length > NAME_COLUMNS - 1 ? `${text.slice(0, NAME_COLUMNS - 2)}…` : text
  return (
    row('ID', 'KIND', 'STATE', 'LAST USED (UTC)', 'NAME') +
    keys
      .map(k =>
        row(
          k.id,
          k.kind,
          stateOf(k, now),
          k.lastUsed === undefined ? 'never' : minute(k.lastUsed),
          name(printable(k.name))
        )
      )
      .join('')
  )
}

/** `valid until 2027-02-20 08:44 UTC` */
function stateText(key: KeyRecord, now: Date): string {
  const state = stateOf(key, now)
  const time = key.revoked ?? key.expires
  return time === undefined
    ? `${state}, without an end`
    : `${state} ${state === 'valid' ? 'until' : 'since'} ${minute(time)} UTC`
}

export function showText(key: KeyRecord, usage: BudgetUsage, now: Date): string {
  const line = (name: string, text: string): string => `  ${name.padEnd(12)} ${text}\n`
  const credentials = key.credentials.flatMap(c => [
    `    ${c.id}  made ${minute(c.created)}${c.expires === undefined ? '' : `, ends ${minute(c.expires)}`}\n`,
    ...(c.fingerprint === undefined ? [] : [`      SHA-256 ${c.fingerprint}\n`])
  ])
  const limits = Object.entries(key.limits).map(
    ([name, n]) => `    ${limitNames[name as keyof KeyLimits].padEnd(20)} ${digits(n)}\n`
  )
  const window = (name: string, { used, reserved }: BudgetWindow, limit: number | undefined): string =>
    line(
      name,
      `${digits(used)} used` +
        (reserved === 0 ? '' : `, ${digits(reserved)} reserved`) +
        (limit === undefined ? '' : ` of ${digits(limit)}`)
    )
  return (
    `${key.id}  ${printable(key.name)}\n` +
    line('state', stateText(key, now)) +
    line('kind', `${key.kind}; signed requests: ${key.signing}`) +
    (key.owner === '' ? '' : line('owner', printable(key.owner))) +
    line('scopes', key.scopes.join(', ')) +
    line('models', wrapped(key.models, 'all')) +
    line('addresses', wrapped(key.addresses, 'all')) +
    line('made', `${minute(key.created)} UTC`) +
    line('last used', key.lastUsed === undefined ? 'never' : `${minute(key.lastUsed)} UTC`) +
    line('credentials', credentials.length === 0 ? 'none' : '').trimEnd() +
    `\n${credentials.join('')}` +
    line('limits', limits.length === 0 ? "the server's" : "(the server's where none is shown)") +
    limits.join('') +
    window('today', usage.day, key.limits.tokensPerDay) +
    window('this month', usage.month, key.limits.tokensPerMonth)
  )
}

/** A list over as many lines as it needs. */
function wrapped(items: readonly string[], none: string): string {
  if (items.length === 0) return none
  const lines = ['']
  for (const [i, item] of items.entries()) {
    const text = `${printable(item)}${i < items.length - 1 ? ', ' : ''}`
    if (lines.at(-1)!.length > 0 && lines.at(-1)!.length + text.trimEnd().length > 64) lines.push('')
    lines[lines.length - 1] += text
  }
  return lines.map(l => l.trimEnd()).join(`\n${' '.repeat(15)}`)
}
