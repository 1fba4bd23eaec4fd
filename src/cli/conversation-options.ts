/** Options for chat templates and end tokens, for models whose file lacks them or has wrong ones. */
import { Option } from 'commander'
import type { Command } from 'commander'
import { compileTemplate } from '../engine/check-chat.ts'
import { openRegular } from '../lib/regular-file.ts'
import { readTemplate } from '../lib/template-file.ts'
import type { ConversationOverrides } from '../model/conversation.ts'
import { repeatedOption } from './prepare.ts'

export interface ConversationFlags {
  chatTemplate?: string
  endToken: string[]
}

/** Adds --chat-template. @param meaning of the option in this command */
export const chatTemplateOption = (
  c: Command,
  meaning = "Jinja chat template to use instead of the model's"
): Command => c.option('--chat-template <file>', `${meaning} (at most 64 KiB)`)

/** Adds --end-token. */
export const endTokenOption = (c: Command): Command =>
  c.addOption(
    new Option('--end-token <token>', 'additional token that ends an answer, by its text or its id (repeatable)')
      .argParser(repeatedOption)
      .default([], 'none')
  )

/** @throws VeritError VERIT_FILE_NOT_FOUND, VERIT_CHAT for a template file that cannot be used */
export function overridesOf({ chatTemplate, endToken }: ConversationFlags): ConversationOverrides {
  return {
    ...(chatTemplate !== undefined && { chatTemplate: { text: templateIn(chatTemplate), source: chatTemplate } }),
    ...(endToken.length > 0 && { endTokens: { tokens: endToken, source: '--end-token' } })
  }
}

function templateIn(path: string): string {
  using file = openRegular(path, 'the chat template')
  const text = readTemplate(file)
  compileTemplate({ text, source: path })
  return text
}
