/**
 * The date that a chat template sees. A template may write it into the prompt (`strftime_now`), so it is an input of
 * the request: given by the caller or taken once from the clock, and recorded where a template has asked for it.
 * Templates see no other time of this machine; hours, minutes and seconds are 0.
 */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December'
]
/** Longest format, in UTF-16 units. */
const MOST_FORMAT = 256

/** Whether a text is a date of the calendar, `YYYY-MM-DD`. */
export function isDate(text: string): boolean {
  const time = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : NaN
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text)
}

export class TemplateDate {
  /** `YYYY-MM-DD` */
  readonly date: string
  /** Whether a template has used it. */
  asked = false

  /** @param date `YYYY-MM-DD` (see `isDate`). Default: today in UTC */
  constructor(date: string = new Date().toISOString().slice(0, 10)) {
    this.date = date
  }

  /**
   * `strftime_now` of a template: C's strftime in the C locale, without conversions that depend on a time zone. @throws
   * Error for an unknown conversion
   */
  readonly strftime = (format: unknown): string => {
    if (typeof format !== 'string' || format.length > MOST_FORMAT)
      throw new Error(`strftime_now takes a format of at most ${MOST_FORMAT} characters`)
    this.asked = true
    const at = new Date(`${this.date}T00:00:00Z`)
    return format.replace(/%(-?)(.|$)/gsu, (_, bare: string, directive: string) => {
      const text = valueOf(at, directive)
      return bare === '' ? text : text.replace(/^0+(?=\d)/, '')
    })
  }
}

function valueOf(at: Date, directive: string): string {
  const two = (n: number): string => String(n).padStart(2, '0')
  const [year, month, day] = [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()]
  switch (directive) {
    case 'Y':
      return String(year).padStart(4, '0')
    case 'y':
      return two(year % 100)
    case 'm':
      return two(month + 1)
    case 'd':
      return two(day)
    case 'e':
      return String(day).padStart(2)
    case 'B':
      return MONTHS[month]!
    case 'b':
    case 'h':
      return MONTHS[month]!.slice(0, 3)
    case 'A':
      return DAYS[at.getUTCDay()]!
    case 'a':
      return DAYS[at.getUTCDay()]!.slice(0, 3)
    case 'j':
      return String(1 + Math.round((at.getTime() - Date.UTC(year, 0, 1)) / 86_400_000)).padStart(3, '0')
    case 'F':
      return `${valueOf(at, 'Y')}-${two(month + 1)}-${two(day)}`
    case 'D':
      return `${two(month + 1)}/${two(day)}/${two(year % 100)}`
    case 'H':
    case 'M':
    case 'S':
      return '00'
    case 'I':
      return '12'
    case 'p':
      return 'AM'
    case 'T':
      return '00:00:00'
    case 'R':
      return '00:00'
    case 'n':
      return '\n'
    case 't':
      return '\t'
    case '%':
      return '%'
    default:
      throw new Error(`strftime_now does not know %${directive}`)
  }
}
