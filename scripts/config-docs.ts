/**
 * Writes docs/reference/configuration.md from the schema in src/server/config.ts: `node scripts/config-docs.ts`. It
 * also writes the table of limits in docs/reference/limits.md. The server's own reader reads the example below before it
 * is printed.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { rangeOf, setting, settings, snakeCase } from '../src/server/config-fields.ts'
import type { Setting } from '../src/server/config-fields.ts'
import { parseConfig } from '../src/server/config-file.ts'

const file = new URL('../docs/reference/configuration.md', import.meta.url)

/** What a section is about, where its name does not say it. */
const sections: Readonly<Record<string, string>> = {
  listen: 'Address, TLS, and the accepted host names and origins.',
  http: 'Limits of requests and connections.',
  inference: 'Limits of generations, and how they are computed ([generation.md](../internals/generation.md)).',
  keys: 'Default limits of a key (`verit keys create`, `verit keys show`).',
  addresses:
    'Limits of one client address over all its keys; its networks have larger limits ' +
    '([limits.md](limits.md#addresses)).',
  signing: 'Signed requests and answers (RFC 9421).',
  audit: 'The audit log, in the state folder.',
  watch: 'Detection of unusual use ([alerts.md](alerts.md)).',
  trust: 'Models that may be served ([model-signing.md](../internals/model-signing.md)).',
  security_txt: 'The answer of `GET /.well-known/security.txt` (RFC 9116).'
}

/** A server for a team, behind no proxy. A test reads it as it stands, but for the files it names. */
export const example = `[listen]
host = "0.0.0.0"
port = 8443
tls_cert = "/etc/verit/tls/fullchain.pem"
tls_key = "/etc/verit/tls/privkey.pem"
allow_hosts = ["models.example.com"]
allow_origins = ["https://chat.example.com"]

[http]
connections_per_address = 32

[inference]
parallel = 8
output_tokens = 2048

[keys]
requests_per_minute = 120
tokens_per_minute = 60_000
tokens_per_day = 2_000_000

[audit]
origin = "models.example.com/gpu1"

[watch]
throttle = true
webhook_url = "https://alerts.example.com/verit"

[security_txt]
contact = ["mailto:security@example.com", "https://example.com/security"]
policy = "https://example.com/security/policy"
`

const code = (value: unknown): string =>
  `\`${Array.isArray(value) ? '[]' : typeof value === 'string' ? JSON.stringify(value) : String(value)}\``
const cell = (text: string): string => text.replaceAll('|', '\\|')

function tableOf(section: string): string {
  const rows = settings
    .filter(s => snakeCase(s.section) === section)
    .map(
      (s: Setting) =>
        `| \`${s.name.slice(section.length + 1)}\` | ${cell(rangeOf(s))} | ${code(s.schema.default)} | ` +
        `${cell(s.schema.description)} |`
    )
  return ['| name | value | default | meaning |', '|---|---|---|---|', ...rows].join('\n')
}

const limitsFile = new URL('../docs/reference/limits.md', import.meta.url)
const BEGIN = '<!-- limits: node scripts/config-docs.ts -->\n'
const END = '<!-- end of limits -->'

/** What happens beyond each limit on use, by the name of its setting. */
const beyond: readonly (readonly [name: string, beyond: string])[] = [
  ['keys.requests_per_minute', '429 `VERIT_RATE_LIMIT`'],
  ['keys.tokens_per_minute', '429 `VERIT_RATE_LIMIT`'],
  ['keys.bytes_per_minute', '429 `VERIT_RATE_LIMIT`'],
  ['keys.streams', '429 `VERIT_TOO_MANY`'],
  ['keys.tokens_per_day', '429 `VERIT_BUDGET`'],
  ['keys.tokens_per_month', '429 `VERIT_BUDGET`'],
  ['addresses.requests_per_minute', '429 `VERIT_RATE_LIMIT`'],
  ['addresses.tokens_per_minute', '429 `VERIT_RATE_LIMIT`'],
  ['addresses.streams', '429 `VERIT_TOO_MANY`'],
  ['addresses.failures_per_minute', 'counted in a summary; valid keys of the same address continue to work'],
  ['addresses.all_failures_per_minute', 'counted in summaries'],
  ['http.connections_per_address', 'the oldest unauthenticated connection closes'],
  ['http.connections', 'the oldest unauthenticated connection closes'],
  ['inference.queue', '503 `VERIT_BUSY`'],
  ['inference.prompt_tokens', '400 `VERIT_PROMPT_LIMIT`'],
  ['inference.output_tokens', '400 `VERIT_REQUEST`']
]

/** docs/reference/limits.md with the limits as they are now. */
export function pageWithLimits(page: string): string {
  const rows = beyond.map(([name, what]) => {
    const { schema } = setting(name)
    const value = schema.default === 0 ? 'none' : schema.default.toLocaleString('en-US')
    return `| \`${name}\` | ${cell(schema.description)} | ${value} | ${what} |\n`
  })
  const table = `| setting | limit | default | beyond it |\n|---|---|---|---|\n${rows.join('')}`
  return `${page.slice(0, page.indexOf(BEGIN) + BEGIN.length)}\n${table}\n${page.slice(page.indexOf(END))}`
}

export function configPage(): string {
  parseConfig(example, 'the example')
  const names = [...new Set(settings.map(s => snakeCase(s.section)))]
  const parts = names.map(name => `## [${name}]\n\n${sections[name]!}\n\n${tableOf(name)}\n`)
  return `# Configuration

Every setting of \`verit serve\`. Made from \`src/server/config.ts\` by \`node scripts/config-docs.ts\`.

    verit serve --config verit.toml             # the file, then the flags of the command
    verit serve --config verit.toml --check     # reads it, the files it names and the secrets; starts nothing
    verit serve --config verit.toml --print-config   # all settings as they would hold

The file is TOML in UTF-8, at most 64 KiB. It must be a regular file of the user who runs the server, or of root, and
nobody else may have write access. The server refuses unknown names, wrong types and values out of range when it
starts, and names the setting. It reads the file once, so changes need a restart. Only the certificate files are read
again when they change ([security.md](../guide/security.md)).

Flags override the file; a list of flags replaces the list of the file. The model, its name and the state folder are
arguments of the command, not settings. \`VERIT_THREADS\`, \`VERIT_CORES\`, \`VERIT_PACKING\` and \`VERIT_ISA\` (the
instruction set) apply to all commands, unless a flag or the file sets the same.

There is no setting that switches authentication off.

## Secrets

Secrets are neither in the file nor on the command line. They come from an environment variable, or from a file that
another variable names, as Docker, Kubernetes and systemd provide them. Set one of the two.

| variable | file | meaning |
|---|---|---|
| \`VERIT_DATABASE_URL\` | \`VERIT_DATABASE_URL_FILE\` | \`postgresql://USER:PASSWORD@HOST/DATABASE\`, for several gateways; default: SQLite in the state folder |
| \`VERIT_RATE_URL\` | \`VERIT_RATE_URL_FILE\` | \`redis://\` or \`rediss://\` (also \`valkey://\`, \`valkeys://\`), for limits that several gateways share; default: memory of this process |
| \`VERIT_WEBHOOK_SECRET\` | \`VERIT_WEBHOOK_SECRET_FILE\` | \`whsec_...\` or \`whsk_...\` (Standard Webhooks), signs alerts; two, separated by a space, during rotation |

${parts.join('\n')}
## Example

\`\`\`toml
${example}\`\`\`
`
}

if (import.meta.main) {
  const page = configPage()
  const limits = readFileSync(limitsFile, 'utf8')
  writeFileSync(file, page)
  writeFileSync(limitsFile, pageWithLimits(limits))
}
