/** `verit audit tail`, `search`, `texts`, `texts-key`: entries for a person or a program. */
import { Command, Option } from 'commander'
import { setTimeout as sleep } from 'node:timers/promises'
import { commitmentTo, dayOf, readDaySecret } from '../audit/day-secrets.ts'
import { entryTypes } from '../audit/entry-schema.ts'
import type { EntryType } from '../audit/entry-schema.ts'
import { readCheckpoint, readEntries } from '../audit/reader.ts'
import { findRequest, searchEntries } from '../audit/search.ts'
import { newTextsKey, openTexts, readTextsKey } from '../audit/sealed-texts.ts'
import { readTextsFile } from '../audit/texts-file.ts'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { located, logFolder, printEntry, readEvidence, readText, wholeNumber, withProgress } from './audit-shared.ts'
import type { Where } from './audit-shared.ts'

const POLL = 500

export function tailCommand(): Command {
  return located(new Command('tail').summary('show the newest entries'))
    .description(
      'Show the newest entries of the log. This reads them without verification; verit audit verify verifies them.'
    )
    .option('-n, --lines <count>', 'number of entries', '20')
    .option('--follow', 'show new entries as they arrive')
    .option('--json', 'print JSON lines: {"index":0,"entry":{...}}')
    .addHelpText(
      'after',
      '\nExamples:\n  verit audit tail\n  verit audit tail -n 100 --json | jq .entry.code\n  verit audit tail --follow'
    )
    .action(async ({ lines, follow, json, ...where }: Where & { lines: string; follow?: boolean; json?: boolean }) => {
      const folder = logFolder(where)
      let { size } = readCheckpoint(folder).checkpoint
      let from = Math.max(0, size - wholeNumber(lines, 'a number of lines'))
      for (;;) {
        for (const found of readEntries(folder, { from, to: size })) printEntry(found, json === true)
        if (follow !== true) return
        from = size
        while (size <= from) {
          await sleep(POLL)
          size = readCheckpoint(folder).checkpoint.size
        }
      }
    })
}

interface SearchOptions extends Where {
  key?: string
  type?: EntryType
  since?: string
  until?: string
  code?: string
  model?: string
  request?: string
  promptFile?: string
  answerFile?: string
  lines?: string
  json?: boolean
}

/** A time given as a day, a time, or anything else that ISO 8601 has. */
function timeOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const ms = /^[0-9]{4}-/.test(text)
    ? Date.parse(/(Z|[+-][0-9]{2}:[0-9]{2})$/.test(text) || text.length <= 10 ? text : `${text}Z`)
    : NaN
  if (Number.isNaN(ms))
    throw new VeritError('VERIT_USAGE', {
      problem: `${printable(text, 80)} is not a time`,
      hint: 'Write it like 2026-11-22 or 2026-11-22T08:30:00 (UTC)'
    })
  return new Date(ms).toISOString()
}

export function searchCommand(): Command {
  return located(new Command('search').summary('find entries by key, time, request, text and more'))
    .description('Show the entries that match all conditions, oldest first.')
    .option('--key <id>', 'public id of a key')
    .addOption(new Option('--type <type>', 'type of entry').choices(entryTypes))
    .option('--since <time>', 'at or after this time, UTC')
    .option('--until <time>', 'before this time, UTC')
    .option('--code <code>', 'error code, such as VERIT_UNAUTHORIZED')
    .option('--model <name>', 'name or digest of a model')
    .option('--request <id>', 'request id')
    .option('--prompt-file <file>', 'entries whose commitment matches this prompt')
    .option('--answer-file <file>', 'entries whose commitment matches this answer')
    .option('-n, --lines <count>', 'maximum number of entries')
    .option('--json', 'print JSON lines: {"index":0,"entry":{...}}')
    .addHelpText(
      'after',
      '\nExamples:\n  verit audit search --key key_0123456789ab --since 2026-11-01\n  verit audit search --type ' +
        'auth --code VERIT_UNAUTHORIZED --json\n  verit audit search --answer-file leaked.txt'
    )
    .action(async (options: SearchOptions) => {
      const { key, type, code, model, request, json } = options
      const limit = options.lines === undefined ? Infinity : wholeNumber(options.lines, 'a number of lines')
      const report = { undecided: 0 }
      let shown = 0
      const criteria = defined({
        key,
        type,
        code,
        model,
        request,
        since: timeOf(options.since),
        until: timeOf(options.until),
        prompt: options.promptFile === undefined ? undefined : readText(options.promptFile, 'the text of a prompt'),
        answer: options.answerFile === undefined ? undefined : readText(options.answerFile, 'the text of an answer')
      })
      await withProgress('search', onProgress => {
        for (const found of searchEntries(logFolder(options), criteria, report, onProgress)) {
          if (shown++ >= limit) break
          printEntry(found, json === true)
        }
      })
      if (shown === 0) process.stderr.write('No entry meets these conditions.\n')
      if (report.undecided > 0)
        process.stderr.write(
          `${report.undecided} entries could not be compared: the secrets of their days were deleted.\n`
        )
    })
}

export function textsKeyCommand(): Command {
  return new Command('texts-key')
    .summary('create a key pair for sealed texts')
    .description(
      'Create a key pair. The server seals the texts of requests to FILE.pub ([audit] texts_key); only the holder ' +
        'of FILE can read them. Keep FILE off the server.'
    )
    .argument('<file>', 'file for the private key; the public key goes to <file>.pub')
    .addHelpText('after', '\nExample:\n  verit audit texts-key audit-texts.pem')
    .action((file: string) => {
      const { privateKey, publicKey } = newTextsKey()
      writeFileAtomic(file, privateKey, { mode: 0o600, overwrite: false })
      writeFileAtomic(`${file}.pub`, publicKey, { mode: 0o644, overwrite: false })
      process.stdout.write(
        `${printable(file)}.pub goes to the server; ${printable(file)} reads the texts: keep it elsewhere.\n`
      )
    })
}

export function textsCommand(): Command {
  return located(new Command('texts').summary('open the sealed texts of a request'))
    .description('Open the sealed prompt and answer of a request, and compare them with the commitments in the log.')
    .requiredOption('--key <file>', 'private key of verit audit texts-key')
    .requiredOption('--request <id>', 'request id')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  verit audit texts --key audit-texts.pem --request req_0123456789ab')
    .action(({ key, request, json, ...where }: Where & { key: string; request: string; json?: boolean }) => {
      const folder = logFolder(where)
      const reader = readTextsKey(readEvidence(key, 'the private key of texts', 'secret'), 'private')
      if (reader === undefined)
        throw new VeritError('VERIT_USAGE', {
          problem: `${printable(key)} is not an X25519 private key in PEM`,
          hint: 'Give the private file that `verit audit texts-key` made'
        })
      const found = findRequest(folder, request)
      if (found === undefined)
        throw new VeritError('VERIT_USAGE', {
          problem: `The log has no request ${printable(request, 80)}`,
          hint: 'Find it with `verit audit search`'
        })
      const { index, entry } = found
      const { origin } = readCheckpoint(folder).checkpoint
      const secret = readDaySecret(folder, dayOf(entry.time))
      const none = (problem: string): VeritError =>
        new VeritError('VERIT_USAGE', {
          problem,
          hint: 'Texts are kept only while texts_key is set, and deleted after texts_days'
        })
      if (entry.type !== 'request' || entry.prompt === undefined || secret === undefined)
        throw none('There are no texts of this request, or they were deleted')
      // A crash may leave a line for an entry that was not written then: the commitments tell which is the right one.
      for (const line of readTextsFile(folder, dayOf(entry.time))) {
        const texts = line.index === index ? openTexts(line, reader, origin) : undefined
        if (
          texts === undefined ||
          commitmentTo(texts.prompt, secret, index) !== entry.prompt ||
          commitmentTo(texts.answer, secret, index) !== entry.answer
        )
          continue
        process.stdout.write(
          json === true
            ? `${printableJson({ index, request, ...texts })}\n`
            : `${safe(texts.prompt)}\n-----\n${safe(texts.answer)}\n`
        )
        return
      }
      throw none('No text of this request opens with this key and meets its commitment')
    })
}

/** Text of several lines for a terminal. */
const safe = (text: string): string =>
  text
    .split('\n')
    .map(line => printable(line))
    .join('\n')
