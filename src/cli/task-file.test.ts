import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { veritSync } from '../../test/cli.ts'
import { writeRandomModel } from '../bench/random-model.ts'
import { referenceExecutor } from '../exec/reference.ts'
import { measureAnswers } from '../eval/generation-task.ts'
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
  assert.ok(task.kind === 'multiple_choice')
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
    [/output_type is "loglikelihood_rolling"/, head.replace('multiple_choice', 'loglikelihood_rolling') + templates],
    [
      /generation_kwargs\.top_p is 0\.5/,
      `${head.replace('multiple_choice', 'generate_until')}generation_kwargs: {top_p: 0.5}\n`
    ],
    [/not exact_match alone/, `${head.replace('multiple_choice', 'generate_until')}metric_list: [{metric: bleu}]\n`],
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

test('generated answers are compared as lm-eval does: GSM8K by its number, others as a whole', () => {
  const path = write('gsm.jsonl', lines([{ question: 'How many?', answer: '1,000 + 234\n#### 1,234' }]))
  const { task } = readTask(path)
  assert.ok(task.kind === 'generate_until')
  assert.deepEqual(task.examples[0]!.context, 'Question: How many?\nAnswer:')
  const exact = (text: string): number[] => {
    const metrics = measureAnswers(task, [{ text, tokens: 4, seconds: 2 }])
    return [metrics['exact_match,strict-match']!.value, metrics['exact_match,flexible-extract']!.value]
  }
  assert.deepEqual(exact(' It is 5. So\n#### 1234'), [1, 1])
  assert.deepEqual(exact(' It is $1,234.'), [0, 1])
  assert.deepEqual(exact(' #### 1,234 and 7'), [1, 0])
  assert.deepEqual(exact(' none'), [0, 0])
  const { repetition, tokens_per_second: speed } = measureAnswers(task, [{ text: 'a b a b', tokens: 4, seconds: 2 }])
  assert.deepEqual([repetition!.value, speed!.value], [1 - 2 / 3, 2])

  const yaml = write(
    'gen.yaml',
    `dataset_kwargs: {data_files: gsm.jsonl}\noutput_type: generate_until\ndoc_to_text: question\n` +
      'doc_to_target: answer\ngeneration_kwargs: {until: ["\\n"], max_gen_toks: 8, do_sample: false}\n' +
      'metric_list: [{metric: exact_match, ignore_case: true, ignore_punctuation: true}]\n'
  )
  const { task: whole } = readTask(yaml)
  assert.ok(whole.kind === 'generate_until')
  assert.deepEqual([whole.until, whole.maxTokens, whole.examples[0]!.context], [['\n'], 8, 'How many?'])
  const answer = { text: '1000 + 234\n 1234', tokens: 1, seconds: 1 }
  assert.equal(measureAnswers(whole, [answer])['exact_match']!.value, 1)
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
  write('gen.jsonl', lines([{ question: 'How many?', answer: '#### 1' }]))
  assert.match(run('--tasks', 'gen.jsonl', 'arc.jsonl').stdout, /gen +exact_match,strict-match [^]*arc +acc /)
  write('text.txt', 'The quick brown fox jumps over the lazy dog. '.repeat(5))
  assert.equal((JSON.parse(run('text.txt', '--stride', '16', '--json').stdout) as { stride: number }).stride, 16)
  assert.match(run('text.txt', '--stride', '65').stderr, /Give a number from 1 to 64/)
  assert.match(run().stderr, /nothing to evaluate on/)
  assert.match(run('text.txt', '--tasks', 'arc.jsonl').stderr, /given together/)
})
