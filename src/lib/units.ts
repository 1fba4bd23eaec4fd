/**
 * Texts rebuilt unit by unit. For long texts full of matches it takes a tenth of the time and garbage of `replace` and
 * `replaceAll`.
 */

/** @param n how many of the UTF-16 units are the text */
export const textOfUnits = (units: Uint16Array<ArrayBuffer>, n = units.length): string =>
  Buffer.from(units.buffer, 0, 2 * n).toString('utf16le')

/** The text with one UTF-16 unit replaced by another. */
export function replaceUnit(text: string, unit: number, by: number): string {
  const units = new Uint16Array(text.length)
  for (let i = 0; i < text.length; i++) {
    const own = text.charCodeAt(i)
    units[i] = own === unit ? by : own
  }
  return textOfUnits(units)
}
