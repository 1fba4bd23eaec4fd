/**
 * Tasks by the fields of their examples: the files of HellaSwag, ARC, BLiMP and LAMBADA in JSON Lines, with the prompts
 * of lm-eval's own tasks of these names.
 */
import type { Example, MetricName, TaskKind } from './task.ts'

export type Doc = Readonly<Record<string, unknown>>

export interface TaskForm {
  readonly name: string
  readonly kind: TaskKind
  /** Default: all of the kind. */
  readonly metrics?: readonly MetricName[]
  /** Fields by which it is recognised. */
  readonly fields: readonly string[]
  /** Undefined for an example that does not have the form. */
  example(doc: Doc): Example | undefined
}

const isText = (value: unknown): value is string => typeof value === 'string'
const areTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText)

/** A question with its choices, each after the delimiter. */
export function choose(
  context: string,
  choices: readonly string[],
  gold: number,
  delimiter = ' '
): Example | undefined {
  if (!Number.isInteger(gold) || gold < 0 || gold >= choices.length) return undefined
  return {
    context,
    continuations: choices.map(choice => `${delimiter}${choice}`),
    lengths: choices.map(choice => [...choice].length),
    gold
  }
}

/** HellaSwag's texts come from WikiHow, with marks of titles and steps. */
const cleaned = (text: string): string =>
  text
    .trim()
    .replaceAll(' [title]', '. ')
    .replaceAll(/\[.*?\]/g, '')
    .replaceAll('  ', ' ')

/** As Python's `str.capitalize`: the first character large, the others small. */
const capitalised = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1).toLowerCase()

export const taskForms: readonly TaskForm[] = [
  {
    name: 'hellaswag',
    kind: 'multiple_choice',
    fields: ['activity_label', 'ctx_a', 'ctx_b', 'endings', 'label'],
    example({ activity_label: label, ctx_a: a, ctx_b: b, endings, label: gold }) {
      if (!isText(label) || !isText(a) || !isText(b) || !areTexts(endings)) return undefined
      return choose(cleaned(`${label}: ${a} ${capitalised(b)}`), endings.map(cleaned), Number(gold))
    }
  },
  {
    name: 'arc',
    kind: 'multiple_choice',
    fields: ['question', 'choices', 'answerKey'],
    example({ question, choices, answerKey }) {
      const { text, label } = (choices ?? {}) as { text?: unknown; label?: unknown }
      if (!isText(question) || !areTexts(text) || !areTexts(label)) return undefined
      return choose(`Question: ${question}\nAnswer:`, text, label.indexOf(String(answerKey)))
    }
  },
  {
    name: 'blimp',
    kind: 'multiple_choice',
    metrics: ['acc'],
    fields: ['sentence_good', 'sentence_bad'],
    example({ sentence_good: good, sentence_bad: bad }) {
      return isText(good) && isText(bad) ? choose('', [good, bad], 0) : undefined
    }
  },
  {
    name: 'lambada',
    kind: 'loglikelihood',
    fields: ['text'],
    example({ text }) {
      if (!isText(text) || !text.includes(' ')) return undefined
      const words = text.split(' ')
      const last = words.pop()!
      return { context: words.join(' '), continuations: [` ${last}`], lengths: [[...last].length], gold: 0 }
    }
  }
]

/** The form whose fields an example has; of several, the one with the most fields. */
export const formOf = (doc: Doc): TaskForm | undefined =>
  taskForms
    .filter(form => form.fields.every(field => field in doc))
    .sort((a, b) => b.fields.length - a.fields.length)[0]
