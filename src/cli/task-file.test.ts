import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { veritSync } from '../../test/cli.ts'
import { writeRandomModel } from '../bench/random-model.ts'
import { referenceExecutor } from '../exec/reference.ts'
import { VeritError } from '../lib/errors.ts'
import { parseModelConfig } from '../model/config.ts'
import { readTask } from './task-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-tasks-'))
after(() => rmSync(folder, { recursive: true }))
const write = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}
const lines = (docs: readonly object[]): string => docs.map(doc => `${JSON.stringify(doc)}\n`).join('')
const arc = [
  { question: 'Why?', choices: { text: ['no', 'yes'], label: ['A', 'B'] }, answerKey: 'B' },
  { question: 'How?', choices: { text: ['so', 'or so'], label: ['A', 'B'] }, answerKey: 'A' }
]
const data = write('arc.jsonl', lines(arc))
const head = 'dataset_path: json\ndataset_kwargs:\n  data_files:\n    test: arc.jsonl\noutput_type: multiple_choice\n'
const templates =
  'doc_to_text: "Question: {{question}}\\nAnswer:"\ndoc_to_target: "{{choices.label.index(answerKey)}}"\n' +
  'doc_to_choice: "{{choices.text}}"\n'

test('a YAML file of lm-eval gives the examples of the form that it describes', () => {
  const byForm = readTask(data)
  const path = write('arc.yaml', `task: mine\ntag:\n  - x\n${head}${templates}metric_list:\n  - metric: acc\n`)
  const { task, files } = readTask(path)
  assert.deepEqual(task.examples, byForm.task.examples)
  assert.deepEqual([task.name, task.metrics], ['mine', ['acc']])
  assert.deepEqual(files[1], byForm.files[0])
  assert.equal(readTask(data, 1).task.examples.length, 1)

  write('last.jsonl', lines([{ text: 'in the end', good: 'a', list: ['x', 'y'], answer: 'y' }]))
  const last = write(
    'last.yaml',
    'dataset_kwargs: {data_files: last.jsonl}\noutput_type: loglikelihood\n' +
      "doc_to_text: \"{{text.split(' ')[:-1]|join(' ')}}\"\ndoc_to_target: \"{{' '+text.split(' ')[-1]}}\"\n"
  )
  assert.deepEqual(readTask(last).task.examples, [
    { context: 'in the', continuations: [' end'], lengths: [4], gold: 0 }
  ])
  const fields = write(
    'fields.yaml',
    'dataset_kwargs: {data_files: last.jsonl}\noutput_type: multiple_choice\ndescription: "D. "\n' +
      'target_delimiter: ""\ndoc_to_text: text\ndoc_to_choice: list\ndoc_to_target: answer\n'
  )
  assert.deepEqual(readTask(fields).task.examples, [
    { context: 'D. in the end', continuations: ['x', 'y'], lengths: [1, 1], gold: 1 }
  ])
})

test('what would be scored otherwise than lm-eval does is refused by its name', () => {
  const cases: readonly [RegExp, string][] = [
    [/calls a function of Python/, `${head}process_docs: !function utils.process_docs\n${templates}`],
    [/output_type is "generate_until"/, head.replace('multiple_choice', 'generate_until') + templates],
    [/num_fewshot is not 0/, `${head}num_fewshot: 5\n${templates}`],
    [/it uses filter_list/, `${head}filter_list: []\n${templates}`],
    [/does not name a file/, `output_type: multiple_choice\n${templates}`],
    [/names several files/, head.replace('test: arc.jsonl', 'a: x\n    b: y') + templates],
    [/metric "f1" is not one of/, `${head}${templates}metric_list:\n  - metric: f1\n`],
    [/choices that are no list/, head + templates.replace('choices.text', 'question')],
    [/a target that is none/, head + templates.replace('choices.label.index(answerKey)', '7')],
    [/cannot be rendered/, head + templates.replace('{{question}}', '{% for %}')],
    [/it is not a mapping/, '- a\n'],
    [/Map keys must be unique/, `${head}${head}`]
  ]
  for (const [problem, text] of cases) {
    const path = write('bad.yaml', text)
    assert.throws(
      () => readTask(path),
      e => VeritError.is(e, 'VERIT_EVAL_DATA') && problem.test(e.fields.problem),
      String(problem)
    )
  }
  for (const [problem, text] of [
    [/of no known form/, lines([{ a: 1 }])],
    [/example 2 is no arc example/, lines([arc[0]!, { ...arc[1], answerKey: 'Z' }])],
    [/line 2 is not JSON/, `${JSON.stringify(arc[0])}\n{`],
    [/holds no examples/, '\n'],
    [/holds no examples/, '7\n']
  ] as const)
    assert.throws(
      () => readTask(write('bad.jsonl', text)),
      e => VeritError.is(e, 'VERIT_EVAL_DATA') && problem.test(e.fields.problem),
      String(problem)
    )
})

test('the command scores tasks in one report, and overlapping windows', async () => {
  const config = parseModelConfig({ kind: 'gpt', layers: 1, hidden: 16, heads: 2, context: 64, vocab: 257 })
  await writeRandomModel(join(folder, 'm.gguf'), referenceExecutor(), config)
  const run = (...args: string[]) => veritSync(['eval', 'm.gguf', ...args], { cwd: folder })
  const { stdout, stderr } = run('--tasks', 'arc.jsonl', 'arc.jsonl', '--json')
  const report = JSON.parse(stdout) as {
    sha256: string
    tasks: { examples: number; files: { sha256: string }[]; metrics: { acc: { value: number } } }[]
  }
  assert.match(report.sha256, /^sha256:[0-9a-f]{64}$/, stderr)
  assert.deepEqual(report.tasks[0], report.tasks[1])
  assert.equal(report.tasks[0]!.examples, 2)
  assert.match(run('--tasks', 'arc.jsonl', '--limit', '1').stdout, /arc +acc +[01]\.0000 +1 examples/)
  write('text.txt', 'The quick brown fox jumps over the lazy dog. '.repeat(5))
  assert.equal((JSON.parse(run('text.txt', '--stride', '16', '--json').stdout) as { stride: number }).stride, 16)
  assert.match(run('text.txt', '--stride', '65').stderr, /Give a number from 1 to 64/)
  assert.match(run().stderr, /nothing to evaluate on/)
  assert.match(run('text.txt', '--tasks', 'arc.jsonl').stderr, /given together/)
})
