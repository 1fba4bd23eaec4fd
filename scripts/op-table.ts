/**
 * Writes native/ops.gen.h from the op table of src/ops: for each op its counts, and the names of its operands and
 * attributes in order, so that no kernel counts positions by hand. `--check` compares instead of writing.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { blockFormats } from '../src/ops/block-formats.ts'
import type { Op } from '../src/ops/op.ts'
import { opTable } from '../src/ops/table.ts'

const path = fileURLToPath(new URL('../native/ops.gen.h', import.meta.url))

/** A bit for each name that may be absent. */
const optional = (names: readonly string[]): number =>
  names.reduce((bits, name, i) => (name.endsWith('?') ? bits | (1 << i) : bits), 0)

const bare = (names: readonly string[]): string[] => names.map(name => name.replace('?', ''))

/** Names with commas between, on lines of at most 120 characters. */
function list(before: string, names: readonly string[], after: string): string[] {
  const lines: string[] = []
  let line = before
  for (const [i, name] of names.entries()) {
    const piece = name + (i === names.length - 1 ? after : ',')
    if (i > 0 && line.length + piece.length + 1 > 120) {
      lines.push(line)
      line = `  ${piece}`
    } else {
      line += i === 0 ? piece : ` ${piece}`
    }
  }
  return [...lines, line]
}

/** One operand group of an op: the indices of its names, and a struct with a field for each. */
function group(prefix: string, op: string, names: readonly string[]): string[] {
  if (names.length === 0) return [`typedef struct { wide_t none; } ${op}_${prefix.toLowerCase()};`]
  return [
    ...list(
      'enum { ',
      names.map(name => `${prefix}_${op}_${name}`),
      ' };'
    ),
    `typedef struct { wide_t ${names.join(', ')}; } ${op}_${prefix.toLowerCase()};`
  ]
}

/** The weight formats of the ops that src/ops/block-matmul.ts makes, one line each. */
function formats(): string[] {
  const rows = blockFormats.map(f => {
    const bits = f.planes.reduce<number>((a, b) => a + b, 0)
    return [
      f.name,
      f.block,
      f.bytes,
      f.group,
      bits,
      f.scaleBytes,
      f.halves.length,
      f.halves[0] ?? 0,
      f.addend ? 1 : 0,
      f.joined ? 1 : 0
    ]
  })
  return [
    '/* ggml type, weights and bytes of a block, weights of a group, bits of a code, bytes of its scales,',
    ' * f16 factors, place of the first, minimums, groups joined */',
    '#define BLOCK_FORMATS(X) \\',
    ...rows.map((row, i) => `  X(${row.join(', ')})${i < rows.length - 1 ? ' \\' : ''}`)
  ]
}

/** The text of native/ops.gen.h. */
export function opHeader(): string {
  const ops = [...opTable.values()]
  const attributes = (op: Op): string[] => Object.keys(op.attributes)
  const most = (count: (op: Op) => number): number => Math.max(...ops.map(count))
  return [
    '/* Written by scripts/op-table.ts from src/ops; do not edit. */',
    '/* clang-format off */',
    '#ifndef VERIT_OPS_GEN_H',
    '#define VERIT_OPS_GEN_H',
    '',
    '/* name, inputs, outputs, attributes, bits of inputs and of outputs that may be absent */',
    '#define OPS(X) \\',
    ...ops.map((op, i) => {
      const counts = `${op.inputs.length}, ${op.outputs.length}, ${attributes(op).length}`
      return (
        `  X(${op.name}, ${counts}, ${optional(op.inputs)}, ` +
        `${optional(op.outputs)})${i < ops.length - 1 ? ' \\' : ''}`
      )
    }),
    '',
    `enum { MAX_IN = ${most(op => op.inputs.length)}, MAX_OUT = ${most(op => op.outputs.length)} };`,
    `enum { MAX_ATTRIBUTES = ${most(op => attributes(op).length)} };`,
    '',
    ...formats(),
    '',
    ...ops.flatMap(op => [
      ...group('IN', op.name, bare(op.inputs)),
      ...group('OUT', op.name, bare(op.outputs)),
      ...group('AT', op.name, attributes(op)),
      ''
    ]),
    '#endif',
    ''
  ].join('\n')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (!process.argv.includes('--check')) writeFileSync(path, opHeader())
  else if (readFileSync(path, 'utf8') !== opHeader()) {
    process.stderr.write('native/ops.gen.h is out of date: run node scripts/op-table.ts\n')
    process.exitCode = 1
  }
}
