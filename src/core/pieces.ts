/** Shorter texts are joined, because each piece that is sent has a cost. */
const PIECE = 16_384
/** A text shorter than this is joined and sent like any other. */
const LONG = 1_048_576

/** A long text that is sent in pieces. Joining it first would make one more copy of the whole text. */
export class Pieces {
  readonly #pieces: string[] = []
  #last = ''
  #length = 0

  add(text: string): void {
    this.#length += text.length
    if (text.length < PIECE && this.#last.length < PIECE) {
      this.#last += text
    } else {
      if (this.#last !== '') this.#pieces.push(this.#last)
      this.#last = text
    }
  }

  /** The pieces, or the joined text if it is short. */
  get value(): Pieces | string {
    return this.#length < LONG ? this.toPostgres() : this
  }

  *[Symbol.iterator](): Generator<string> {
    yield* this.#pieces
    yield this.#last
  }

  get byteLength(): number {
    let length = 0
    for (const piece of this) length += Buffer.byteLength(piece)
    return length
  }

  /** The text as one string. pg calls this method when it sends the value. */
  toPostgres(): string {
    return [...this].join('')
  }
}
