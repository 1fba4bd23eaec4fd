/** What `verit convert` prints. */
import { printable } from '../lib/printable.ts'
import { formatBytes } from '../lib/progress.ts'
import type { Conversion } from '../model/convert.ts'
import type { PrecisionLoss, TensorReport } from '../model/encode-tensors.ts'
import type { HfExport } from '../model/export-hf.ts'
import type { OnnxExport } from '../model/export-onnx.ts'
import type { ModelSource } from '../model/model-source.ts'
import { columns } from './columns.ts'
import { conversationLines } from './conversation-text.ts'

interface Shown {
  /** Whether conversation settings are shown for every model. */
  readonly always: boolean
  /** Whether the error of every tensor is listed. */
  readonly errors: boolean
}

export function fileText(output: string, result: Conversion, { always, errors }: Shown): string {
  const { bytes, tensors, architecture, losses, reports, conversation, latent, notes } = result
  // A model that is not for conversations has nothing to report here.
  const chats = always || conversation.template !== undefined || conversation.warnings.length > 0
  const exact = latent ? 'No precision was lost in what the model computes.' : 'No precision was lost.'
  return [
    `${printable(output)}: ${architecture}, ${tensors} tensors, ${formatBytes(bytes)}\n`,
    errors ? errorTable(reports) : '',
    losses.length === 0 ? `${exact}\n` : `Precision lost:\n${losses.map(lossLine).join('')}`,
    ...notes.map(note => `Note: ${note}.\n`),
    chats ? conversationLines(conversation) : ''
  ].join('')
}

/** One row per tensor: its formats and its relative error. */
function errorTable(reports: readonly TensorReport[]): string {
  const rows = reports.map(({ name, from, to, relative }) => [
    name,
    from === to ? to : `${from} to ${to}`,
    relative === 0 ? 'exact' : `${(100 * relative).toPrecision(3)} %`
  ])
  return `${columns([['tensor', 'format', 'root mean square error'], ...rows])}\n`
}

function lossLine({ tensors, from, to, relative }: PrecisionLoss): string {
  const measure = to === 'F16' && tensors.startsWith('scales') ? 'at most' : 'root mean square'
  return `  ${tensors}: ${from} to ${to}, ${(100 * relative).toPrecision(2)} % ${measure}\n`
}

export function folderText(output: string, result: HfExport, { notes, conversation }: ModelSource): string {
  const { bytes, tensors, modelType, type, relative, files } = result
  return [
    `${printable(output)}: ${modelType}, ${tensors} tensors, ${formatBytes(bytes)}, ${type}\n`,
    `Files: ${files.join(', ')}\n`,
    relative === 0
      ? 'No precision was lost.\n'
      : `Precision lost: ${(100 * relative).toPrecision(2)} % root mean square\n`,
    ...notes.map(note => `Note: ${note}.\n`),
    conversation.template === undefined ? '' : conversationLines(conversation)
  ].join('')
}

export function onnxText(output: string, { bytes, tensors, opset, files }: OnnxExport): string {
  return [
    `${printable(output)}: ONNX, operator set ${opset}, ${tensors} tensors, ${formatBytes(bytes)}, F32\n`,
    `Files: ${files.join(', ')}\n`,
    'No precision was lost.\n'
  ].join('')
}
