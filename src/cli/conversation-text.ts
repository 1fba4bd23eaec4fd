/** Conversation settings of a model's files, as lines and as JSON. Text from files is escaped. */
import { printable } from '../lib/printable.ts'
import type { Conversation, SourcedToken } from '../model/conversation.ts'

const token = ({ id, text, source }: SourcedToken): string =>
  `${printable(text, 60)} (${id}, ${printable(source, 100)})`

/** A heading and a line for each part; warnings last. */
export function conversationLines({
  template,
  otherTemplates,
  begin,
  addsBegin,
  ends,
  warnings
}: Conversation): string {
  const shown =
    template === undefined
      ? 'none: conversations are written as plain turns'
      : `${template.text.length.toLocaleString('en-US')} characters (${printable(template.source, 100)})`
  const adds = addsBegin.value ? 'put' : 'not put'
  const begins =
    begin === undefined
      ? 'none named'
      : `${token(begin)}, ${adds} before each prompt (${printable(addsBegin.source, 100)})`
  const rows: [string, string][] = [
    ['chat template', shown],
    ['begin token', begins],
    ['end tokens', ends.length === 0 ? 'none known' : ends.map(token).join('\n                 ')]
  ]
  if (otherTemplates.length > 0)
    rows.push(['not used', otherTemplates.map(t => `template ${printable(t.name, 64)}`).join(', ')])
  const lines = rows.map(([name, text]) => `  ${name.padEnd(13)}  ${text}\n`)
  return `Conversation\n${lines.join('')}${warnings.map(w => `  warning: ${w}\n`).join('')}`
}

/** For --json. */
export const conversationJson = ({
  template,
  otherTemplates,
  begin,
  addsBegin,
  addsEnd,
  ends,
  warnings
}: Conversation): object => ({
  chatTemplate: template === undefined ? null : { source: template.source, characters: template.text.length },
  otherTemplates: otherTemplates.map(t => t.name),
  beginToken: begin ?? null,
  addsBegin: addsBegin.value,
  addsBeginSource: addsBegin.source,
  addsEnd,
  endTokens: ends.map(({ id, text, source }) => ({ id, text, source })),
  warnings
})
