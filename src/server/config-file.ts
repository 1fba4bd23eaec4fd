/**
 * The effective configuration: defaults, then a TOML file, then flags. A file with an unknown name, a wrong type, a
 * secret, or write access for others is refused. Format: TOML 1.0, sections and names of config.ts in snake_case.
 */
import { TomlError, parse } from 'smol-toml'
import { VeritError } from '../lib/errors.ts'
import { nearest } from '../lib/nearest.ts'
import { printable } from '../lib/printable.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import { defaultConfig } from './config.ts'
import type { ServerConfig } from './config.ts'
import { checkTogether } from './config-checks.ts'
import { setting, settings, snakeCase, valueProblem } from './config-fields.ts'
import type { Setting, SettingValue } from './config-fields.ts'

const MOST_BYTES = 64 << 10
const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Names that people may try as settings for secrets, which a file that is copied and committed must not hold. */
const SECRETS: readonly [RegExp, string][] = [
  [/database|postgres|dsn/, 'VERIT_DATABASE_URL or VERIT_DATABASE_URL_FILE'],
  [/redis|valkey|rate_url/, 'VERIT_RATE_URL or VERIT_RATE_URL_FILE'],
  [/webhook.*secret|secret.*webhook/, 'VERIT_WEBHOOK_SECRET or VERIT_WEBHOOK_SECRET_FILE']
]

export interface ConfigSources {
  /** Path of a TOML file. */
  file?: string | undefined
  /** By name (`listen.port`); these come after the file. Undefined ones were not given. */
  flags?: Readonly<Record<string, SettingValue | undefined>>
}

/** @throws VeritError VERIT_CONFIG, and the errors of reading a file */
export function loadConfig({ file, flags = {} }: ConfigSources): ServerConfig {
  const config = defaultConfig()
  if (file !== undefined) apply(config, readFile(file), file)
  for (const [name, value] of Object.entries(flags)) {
    if (value !== undefined) set(config, setting(name), value, 'command line')
  }
  checkTogether(config, file ?? 'command line')
  return config
}

/** A configuration from the text of a file alone; `source` is its name in errors. @throws VeritError VERIT_CONFIG */
export function parseConfig(text: string, source: string): ServerConfig {
  const config = defaultConfig()
  apply(config, text, source)
  checkTogether(config, source)
  return config
}

const digits = (n: number): string => n.toLocaleString('en-US')

function readFile(path: string): string {
  const refused = (problem: string): VeritError =>
    new VeritError('VERIT_CONFIG', { source: path, field: 'the file', problem })
  const bytes = readTrusted(path, {
    kind: 'decides',
    purpose: 'the configuration',
    limit: MOST_BYTES,
    refuse: ({ problem, command }) => refused(`${problem}: run ${command}`),
    tooLong: size => refused(`has ${digits(size)} bytes, more than ${digits(MOST_BYTES)}`)
  })
  try {
    return utf8.decode(bytes)
  } catch {
    throw refused('is not UTF-8')
  }
}

function apply(config: ServerConfig, text: string, source: string): void {
  const fail = (field: string, problem: string): never => {
    throw new VeritError('VERIT_CONFIG', { source, field, problem })
  }
  let table: Record<string, unknown>
  try {
    table = parse(text, { maxDepth: 8 }) as Record<string, unknown>
  } catch (e) {
    if (!(e instanceof TomlError)) throw e
    return fail(
      `line ${e.line}`,
      `is not TOML: ${printable(e.message.split('\n')[0]!.replace('Invalid TOML document: ', ''), 200)}`
    )
  }
  const sections = new Set(settings.map(s => s.section))
  const bySection = new Map([...sections].map(s => [snakeCase(s), settings.filter(x => x.section === s)]))
  for (const [name, values] of Object.entries(table)) {
    const known = bySection.get(name)
    if (known === undefined) return fail(shown(name), unknown(name, [...bySection.keys()], 'section'))
    if (values === null || typeof values !== 'object' || Array.isArray(values) || values instanceof Date) {
      return fail(shown(name), `must be a section: a line [${name}], then its settings`)
    }
    for (const [key, value] of Object.entries(values)) {
      const found = known.find(s => s.name === `${name}.${key}`)
      if (found === undefined)
        return fail(
          `${name}.${shown(key)}`,
          unknown(
            key,
            known.map(s => s.name.slice(name.length + 1)),
            'setting'
          )
        )
      set(config, found, value, source)
    }
  }
}

const shown = (name: string): string => printable(name, 60)

function unknown(name: string, known: readonly string[], kind: string): string {
  const secret = SECRETS.find(([pattern]) => pattern.test(name.toLowerCase()))
  if (secret !== undefined)
    return `is not taken from a file, for it holds a secret: set ${secret[1]} in the environment`
  const elsewhere = settings.find(s => s.name.endsWith(`.${name}`))
  if (elsewhere !== undefined) return `is not a ${kind}; perhaps ${elsewhere.name} is meant`
  const near = nearest(name, known)
  return near === undefined ? `is not a ${kind}` : `is not a ${kind}; perhaps ${near} is meant`
}

function set(config: ServerConfig, { section, key, ...rest }: Setting, value: unknown, source: string): void {
  const problem = valueProblem({ section, key, ...rest }, value)
  if (problem !== undefined) throw new VeritError('VERIT_CONFIG', { source, field: rest.name, problem })
  ;(config as unknown as Record<string, Record<string, unknown>>)[section]![key] = value
}

/** The value a configuration has for a setting. */
export const valueOf = (config: ServerConfig, { section, key }: Setting): SettingValue =>
  (config as unknown as Record<string, Record<string, SettingValue>>)[section]![key]!

/** TOML that gives the same configuration again, but for the path of the webhook, which often is a secret. */
export function formatConfig(config: ServerConfig): string {
  const lines: string[] = []
  let section = ''
  for (const s of settings) {
    if (s.section !== section) lines.push(...(section === '' ? [] : ['']), `[${snakeCase(s.section)}]`)
    section = s.section
    lines.push(
      `${snakeCase(s.key)} = ` +
        `${s.name === 'watch.webhook_url' ? withoutPath(config.watch.webhookUrl) : toml(valueOf(config, s))}`
    )
  }
  return `${lines.join('\n')}\n`
}

/**
 * JSON's texts, numbers and lists are TOML's, once control characters (which no setting may hold) are out of the way.
 */
const toml = (value: SettingValue): string =>
  Array.isArray(value) ? `[${value.map(v => JSON.stringify(v)).join(', ')}]` : JSON.stringify(value)

const withoutPath = (url: string): string =>
  url === '' || new URL(url).pathname === '/' ? toml(url) : `${toml(new URL(url).origin)} # its path is not shown`
