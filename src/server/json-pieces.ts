/** JSON text that grows piece by piece and is kept as bytes: a long answer is made, hashed and sent in pieces. */

/** Characters that become one piece. */
const PIECE = 1 << 15

export class JsonPieces {
  #pieces: Buffer[] = []
  #text = ''
  #bytes = 0

  /** The text in order, as UTF-8: pieces of about 32 KiB and more, but for the last. */
  get pieces(): readonly Buffer[] {
    this.#cut()
    return this.#pieces
  }

  /** Bytes of the whole text. */
  get bytes(): number {
    this.#cut()
    return this.#bytes
  }

  /** @param more JSON, or a part of it */
  add(more: string | JsonPieces): this {
    if (typeof more !== 'string') {
      if (more.#pieces.length > 0) {
        this.#cut()
        for (const piece of more.#pieces) this.#pieces.push(piece)
        this.#bytes += more.#bytes
      }
      return this.add(more.#text)
    }
    this.#text += more
    if (this.#text.length >= PIECE) this.#cut()
    return this
  }

  #cut(): void {
    if (this.#text === '') return
    const piece = Buffer.from(this.#text, 'utf8')
    this.#pieces.push(piece)
    this.#bytes += piece.length
    this.#text = ''
  }
}

/** A list whose elements come one by one. */
export class JsonList {
  #elements = new JsonPieces()
  #empty = true

  add(element: unknown): void {
    this.#elements.add(`${this.#empty ? '' : ','}${JSON.stringify(element)}`)
    this.#empty = false
  }

  get json(): JsonPieces {
    return new JsonPieces().add('[').add(this.#elements).add(']')
  }
}

function jsonOf(value: unknown): string | JsonPieces {
  if (value instanceof JsonList) return value.json
  return value instanceof JsonPieces ? value : JSON.stringify(value)
}

/** An object, from its names and values in order; values that are lists or pieces are JSON already. */
export function jsonObject(fields: Readonly<Record<string, unknown>>): JsonPieces {
  const object = new JsonPieces()
  let before = '{'
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue
    object.add(`${before}${JSON.stringify(name)}:`).add(jsonOf(value))
    before = ','
  }
  return object.add(before === '{' ? '{}' : '}')
}
