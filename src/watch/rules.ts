/**
 * The rules of unusual use, one row each. docs/reference/alerts.md shows the same table; a test compares them. A rule
 * evaluates the history of one key just after a request was counted, and returns its figures, or nothing.
 */
import type { KeyHistory } from './key-history.ts'

export interface Rule {
  readonly name: string
  /** For the documentation: measure, threshold, required history, blind spots. */
  readonly measures: string
  readonly threshold: string
  readonly evidence: string
  readonly blind: string
  /** One sentence for a person. */
  readonly message: string
  readonly check: (key: KeyHistory) => Record<string, number> | undefined
}

const DAY_MS = 86_400_000
/** Five-minute intervals with requests before rates are judged: three hours of use. */
const INTERVALS = 36

const above = (value: number, bound: number, figures: Record<string, number>): Record<string, number> | undefined =>
  value > bound ? { ...figures, bound: Math.round(bound) } : undefined

const share = (n: number, of: number): number => Math.round((1000 * n) / of) / 1000

export const rules: readonly Rule[] = [
  {
    name: 'rate',
    measures: 'requests in five minutes',
    evidence: '36 five-minute intervals with requests',
    threshold:
      'more than 100, 4 times the mean, the mean and 8 deviations, and twice the recent peak of the intervals ' +
      'with requests (memory: about 50)',
    blind: 'a new key; growth by less than these factors from hour to hour',
    message: 'A key sends far more requests than it used to',
    check: ({ interval: { requests }, usual }) =>
      usual.requests.count < INTERVALS
        ? undefined
        : above(requests, usual.requests.bound(100), { requests, usual: Math.round(usual.requests.mean) })
  },
  {
    name: 'tokens',
    measures: 'tokens of prompts and answers in five minutes',
    evidence: '36 five-minute intervals with requests',
    threshold: 'more than 100,000, and as for `rate`',
    blind: 'as for `rate`',
    message: 'A key uses far more tokens than it used to',
    check: ({ interval: { tokens }, usual }) =>
      usual.tokens.count < INTERVALS
        ? undefined
        : above(tokens, usual.tokens.bound(100_000), { tokens, usual: Math.round(usual.tokens.mean) })
  },
  {
    name: 'hours',
    measures: 'requests in an hour of the week (UTC) in which the key is never used',
    evidence: '14 days, 8 of them with requests, 500 requests',
    threshold:
      '20 requests in an hour that, with the two beside it, had less than 0.1 % of all (weights halve in four weeks)',
    blind: 'misuse in the usual hours; fewer than 20 requests an hour; holidays, on which the usual hours are unusual',
    message: 'A key is used at an hour at which it is never used',
    check({ hour, week, first, last }) {
      if (hour.requests < 20 || last - first < 14 * DAY_MS || week.days < 8 || week.total < 500) return undefined
      const part = week.share(hour.index)
      return part < 0.001
        ? { requests: hour.requests, hourOfWeek: hour.index % 168, share: Math.round(part * 1e6) / 1e6 }
        : undefined
    }
  },
  {
    name: 'errors',
    measures: 'share of requests in five minutes that were wrong (4xx but 401, 403, 429)',
    evidence: '50 such requests',
    threshold: 'half of the requests, and 0.4 above the usual share',
    blind: "a client that has always been wrong; 5xx, which are not the key's doing",
    message: 'Many requests of a key are wrong',
    check: ({ interval: { requests, errors }, usual }) =>
      errors >= 50 && errors / requests >= Math.max(0.5, usual.errorShare.mean + 0.4)
        ? { requests, errors, usual: share(usual.errorShare.mean, 1) }
        : undefined
  },
  {
    name: 'refused',
    measures: 'share of requests in five minutes that were refused (401, 403, 429)',
    evidence: '100 such requests',
    threshold: 'half of the requests, and 0.4 above the usual share',
    blind: 'a client that always runs into its limits; requests without a valid key, which have no history',
    message: 'Many requests of a key are refused',
    check: ({ interval: { requests, refused }, usual }) =>
      refused >= 100 && refused / requests >= Math.max(0.5, usual.refusedShare.mean + 0.4)
        ? { requests, refused, usual: share(usual.refusedShare.mean, 1) }
        : undefined
  },
  {
    name: 'near-identical',
    measures: 'share of prompts in an hour that are nearly the same as one of 16 groups of earlier ones',
    evidence: '200 prompts in this hour, and 3 earlier hours with 10',
    threshold: '0.8 of the prompts, and twice the usual share',
    blind:
      'a key whose prompts are always alike (templates, growing conversations); changes of more than a fifth; ' +
      'long prompts that differ only in their middle',
    message: 'A key sends nearly the same prompt again and again',
    check: ({ hour: { prompts, near }, usual }) =>
      prompts >= 200 && usual.nearShare.count >= 3 && near / prompts >= Math.max(0.8, 2 * usual.nearShare.mean)
        ? { prompts, near, usual: share(usual.nearShare.mean, 1) }
        : undefined
  },
  {
    name: 'sweep',
    measures: 'distinct settings (temperature, top_p, top_k, logprobs) or seeds on nearly the same prompt in an hour',
    evidence: 'none',
    threshold: '24 settings or 200 seeds',
    blind: 'sweeps over different prompts, over several keys, or spread over hours; evaluations look the same',
    message: 'A key tries many parameters on nearly the same prompt',
    check: ({ sweep: { settings, seeds } }) => (settings >= 24 || seeds >= 200 ? { settings, seeds } : undefined)
  },
  {
    name: 'logprobs',
    measures: 'requests in an hour for log probabilities of at most one token, and distinct prompts among them',
    evidence: 'none',
    threshold:
      '300 requests and more than 4 times the mean, the mean and 8 deviations, and twice the recent peak of the ' +
      'hours with requests; 200 distinct prompts',
    blind:
      'extraction from answers alone; fewer than 300 an hour; ' +
      'a key that classifies or evaluates like this draws alerts in its first hours, then it is usual: an attack ' +
      'that goes on is told of in its first hours only',
    message: 'A key reads out probabilities of next tokens, as one would to copy the model',
    check: ({ hour: { probes }, probed, usual }) =>
      probes >= 300 && probed.count >= 200
        ? above(probes, usual.probes.bound(299), { requests: probes, prompts: probed.count })
        : undefined
  },
  {
    name: 'single-tokens',
    measures: 'distinct prompts in an hour of one token id, or of one word of at most 16 characters',
    evidence: 'none',
    threshold: '256, and as for `logprobs`',
    blind: 'words inside a longer prompt; fewer than 256 an hour',
    message: 'A key sends one token after another, as one would to map the vocabulary',
    check: ({ singles, usual }) => above(singles.count, usual.singles.bound(255), { prompts: singles.count })
  },
  {
    name: 'random-tokens',
    measures: 'chance that two of 2,048 token ids from its prompts are the same',
    evidence: '2,048 token ids',
    threshold: 'less than 0.001 (text: about 0.01; ids drawn evenly: 1 over the size of the vocabulary)',
    blind: 'prompts sent as text; vocabularies under about 1,000 tokens; frequent tokens mixed in',
    message: 'A key sends random tokens instead of text, as one would to reach rare parts of the model',
    check: ({ agreement }) =>
      agreement !== undefined && agreement < 0.001
        ? { tokens: 2048, chance: Math.round(agreement * 1e6) / 1e6 }
        : undefined
  }
]
