/**
 * Flags of `verit serve` that stand for settings: meaning, range and default are those of the setting, so that a flag
 * and a file cannot differ.
 */
import { InvalidArgumentError, Option } from 'commander'
import type { Command } from 'commander'
import { setting, valueProblem } from '../server/config-fields.ts'
import type { SettingValue } from '../server/config-fields.ts'

/** Flag, setting, and text of the default if the setting's own says little. */
const flags: readonly (readonly [string, string, string?])[] = [
  ['--host <address>', 'listen.host'],
  ['--port <port>', 'listen.port'],
  ['--socket <path>', 'listen.socket', 'none'],
  ['--tls-cert <file>', 'listen.tls_cert', 'no TLS'],
  ['--tls-key <file>', 'listen.tls_key', 'no TLS'],
  ['--tls-client-ca <file>', 'listen.tls_client_ca', 'none'],
  ['--trusted-proxy <address>', 'listen.trusted_proxies'],
  ['--allow-host <name>', 'listen.allow_hosts'],
  ['--allow-origin <origin>', 'listen.allow_origins'],
  ['--parallel <n>', 'inference.parallel'],
  ['--queue <n>', 'inference.queue'],
  ['--per-key <n>', 'keys.streams'],
  ['--request-timeout <seconds>', 'inference.request_timeout_seconds'],
  ['--context <tokens>', 'inference.context', "the model's"],
  ['--kv-cache-type <type>', 'inference.kv_cache_type', 'f32 for gpt and bitnet, f16 for others'],
  ['--chat-template <file>', 'inference.chat_template', "the model's own"],
  ['--end-token <token>', 'inference.end_tokens'],
  ['--threads <n>', 'inference.threads'],
  ['--cores <list>', 'inference.cores', 'no pinning'],
  ['--packing <name>', 'inference.packing', 'the fastest here'],
  ['--instruction-set <name>', 'inference.instruction_set', 'the fastest here'],
  ['--head-screen <when>', 'inference.head_screen', 'for heads of 64 MiB or more'],
  ['--speculate <when>', 'inference.speculate', 'where measured to be faster'],
  ['--trust-policy <file>', 'trust.policy', 'trust.toml in the state folder'],
  ['--allow-unsigned', 'trust.allow_unsigned', 'it is refused'],
  ['--require-sandbox', 'inference.require_sandbox', 'start with an incomplete sandbox, and report it']
]

/** Adds all flags, without defaults of Commander: missing flags are left to the file. */
export function addSettingFlags(command: Command): Command {
  for (const [text, name, shown] of flags) {
    const { schema } = setting(name)
    const several = schema.type === 'array'
    const normal = shown ?? (several ? 'none' : String(schema.default))
    // A flag is present or absent; its default stands at the end.
    const meaning = schema.description!.replace(/^whether (?:to )?/, '').replace(/; default: [^()]*$/, '')
    const option = new Option(text, `${meaning} ${several ? '(repeatable; default: none)' : `(default: ${normal})`}`)
    // a flag without a value means true, and has nothing to read
    command.addOption(
      schema.type === 'boolean'
        ? option
        : option.argParser((value: string, before: unknown) => read(name, value, before))
    )
  }
  return command
}

function read(name: string, text: string, before: unknown): SettingValue {
  const found = setting(name)
  const value =
    found.schema.type === 'integer' && /^\d{1,15}$/.test(text)
      ? Number(text)
      : found.schema.type === 'array'
        ? [...((before as string[] | undefined) ?? []), text]
        : text
  const problem = valueProblem(found, value)
  if (problem !== undefined) throw new InvalidArgumentError(`It ${problem}.`)
  return value
}

/** The settings that were given as flags, by name. */
export function settingFlags(options: Readonly<Record<string, unknown>>): Record<string, SettingValue | undefined> {
  return Object.fromEntries(
    flags.map(([text, name]) => [name, options[new Option(text).attributeName()] as SettingValue | undefined])
  )
}
