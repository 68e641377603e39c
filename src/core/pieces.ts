/** Shorter texts are put together: each piece that is sent costs something, too. */
const PIECE = 16_384
/** A text that is shorter is put together, and sent as any other. */
const LONG = 1_048_576

/** A long text that is sent piece by piece: to put it together first would be one more copy of all of it. */
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

  /** Itself, or what it comes to where that is short. */
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

  /** How pg calls it when it sends the value. */
  toPostgres(): string {
    return [...this].join('')
  }
}
