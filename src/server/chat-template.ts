/**
 * Reads the chat template that `inference.chat_template` names. It shapes every conversation, so other users must not
 * be able to change it.
 */
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { readTemplate } from '../lib/template-file.ts'
import { openTrusted } from '../lib/trusted-file.ts'

/**
 * Conversation settings that the gateway sends to the runner: text and origin of a template, and additional end tokens.
 */
export interface ConversationSettings {
  readonly chatTemplate?: { readonly text: string; readonly source: string }
  readonly endTokens?: readonly string[]
}

/**
 * @throws VeritError VERIT_CONFIG for a template that cannot be used, VERIT_FILE_NOT_FOUND, VERIT_OTHERS_WRITE,
 * VERIT_OTHERS_OWN
 */
export function conversationSettings(
  { chatTemplate, endTokens }: { chatTemplate: string; endTokens: readonly string[] },
  source: string
): ConversationSettings {
  return {
    ...(chatTemplate !== '' && { chatTemplate: { text: templateIn(chatTemplate, source), source: chatTemplate } }),
    ...(endTokens.length > 0 && { endTokens })
  }
}

function templateIn(path: string, source: string): string {
  using file = openTrusted(path, { kind: 'decides', purpose: 'inference.chat_template' })
  try {
    return readTemplate(file)
  } catch (e) {
    if (VeritError.is(e, 'VERIT_CHAT'))
      throw new VeritError(
        'VERIT_CONFIG',
        {
          source,
          field: 'inference.chat_template',
          problem: `cannot be used: the chat template ${printable(path)} ${e.fields.problem}`
        },
        e
      )
    throw e
  }
}
