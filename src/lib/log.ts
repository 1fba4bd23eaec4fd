/**
 * The log of a running server, on standard error (log-output.ts): one JSON object a line (pino), or one short line
 * for a person where standard error is a terminal. Callers log names, numbers and codes, never prompts, answers or
 * keys. Strings are escaped all the same.
 */
import { pino } from 'pino'
import type { Logger } from 'pino'
import { LogOutput } from './log-output.ts'
import { printable } from './printable.ts'

export type Log = Logger

const LEVELS: Readonly<Record<number, string>> = { 30: '', 40: 'warning: ', 50: 'error: ', 60: 'fatal: ' }

export interface LogOptions {
  /** Default: standard error. */
  stream?: { write(text: string): unknown; isTTY?: boolean }
  /** Force JSON (true) or lines (false). Default: JSON unless the stream is a terminal. */
  json?: boolean
}

export function createLog(options: LogOptions = {}): Log {
  const stream = options.stream ?? new LogOutput(lossLine)
  const json = options.json ?? stream.isTTY !== true
  const form = (line: string): string => (json ? line : lineOf(line))
  return logTo(line => void stream.write(form(line)))

  function lossLine(lines: number, reason: string): string {
    let text = ''
    logTo(line => void (text += form(line))).warn({ lines, reason }, 'log lines were lost')
    return text
  }
}

const logTo = (write: (line: string) => void): Log =>
  pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, { write })

/** `12:03:04 POST /v1/completions  status=200 ms=153` */
function lineOf(json: string): string {
  const { level, time, msg, ...fields } = JSON.parse(json) as { level: number; time: string; msg?: string }
  const rest = Object.entries(fields)
    .map(([k, v]) => `${k}=${printable(typeof v === 'string' ? v : JSON.stringify(v), 300)}`)
    .join(' ')
  return `${time.slice(11, 19)} ${LEVELS[level] ?? ''}${printable(msg ?? '', 500)}${rest === '' ? '' : `  ${rest}`}\n`
}
