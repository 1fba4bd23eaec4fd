/** The summary that `verit train` prints at the end of a run. */
import { join } from 'node:path'
import { formatBytes, formatDuration } from '../lib/progress.ts'
import { veritCommand } from '../lib/shell-word.ts'
import type { RecordFile } from '../train/record.ts'

const count = (n: number): string => n.toLocaleString('en-US')

/** @param run folder of the run @param word of its text, to begin a prompt with */
export function trainSummary({ record, sha256, model, environment }: RecordFile, run: string, word: string): string {
  const { validation, step } = record.exported
  const loss = validation?.loss.toFixed(4)
  const measured = validation && `held-out loss ${loss}, ${validation.bitsPerByte.toFixed(4)} bits a byte`
  const { steps } = record.options
  const { fromStep, seconds } = environment
  const time = `${fromStep > 0 ? `, the last ${count(steps - fromStep)}` : ''} in ${formatDuration(seconds)}`
  return `${record.name}: ${count(record.parameters)} parameters, ${count(steps)} steps${time}
result   ${measured ?? 'nothing held out'}, at step ${count(step)}
weights  ${record.final.weights}
record   ${join(run, 'record.json')} (${sha256})
curve    ${join(run, 'loss.svg')}
model    ${join(run, model.file)} (${formatBytes(model.bytes)}, ${model.sha256})
Try it: ${veritCommand('generate', run, word)}
`
}
