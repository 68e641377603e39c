/** Rows as arrays of text, as PostgreSQL sends them: parsing is the caller's, who knows the columns. */
export type Row = readonly string[]

const RAW_TEXT = { getTypeParser: () => (value: string) => value }

/** The rows of an answer, as many as fit in `maxBytes`; the first row always fits. The others are dropped as they arrive. */
export class BoundedRows {
  readonly rows: Row[] = []
  readonly #maxBytes: number
  #bytes = 0
  #received = { rows: 0, bytes: 0 }
  #isFull = false

  constructor(maxBytes = Infinity) {
    this.#maxBytes = maxBytes
  }

  /** Size of the rows that were kept, as they were sent. */
  get bytes(): number {
    return this.#bytes
  }

  /** True: rows were dropped. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** The average size of a row, those that were dropped among them; undefined if there are none. */
  get rowBytes(): number | undefined {
    const { rows, bytes } = this.#received
    return rows === 0 ? undefined : bytes / rows
  }

  add(row: Row, bytes: number): void {
    this.#received.rows++
    this.#received.bytes += bytes
    if (this.#isFull) return
    if (this.rows.length > 0 && this.#bytes + bytes > this.#maxBytes) {
      this.#isFull = true
    } else {
      this.rows.push(row)
      this.#bytes += bytes
    }
  }

  /** Add rows that somebody else has received. */
  addAll(rows: readonly Row[]): void {
    for (const row of rows) this.add(row, sizeOf(row))
  }

  /** Parsers that leave the texts as they are, for pg's own queries: these keep every row, so later rows are made empty. */
  get types(): typeof RAW_TEXT {
    if (this.#maxBytes === Infinity) return RAW_TEXT
    let fields = 0
    let rows = 0
    let bytes = 0
    return {
      getTypeParser: () => {
        const isFirst = fields++ === 0
        return (value) => {
          if (isFirst) rows++
          if (rows > 1 && bytes > this.#maxBytes) return ''
          bytes += value.length
          return value
        }
      },
    }
  }
}

const sizeOf = (row: readonly (string | null)[]): number =>
  row.reduce((sum, value) => sum + (value === null ? 4 : 4 + Buffer.byteLength(value)), 0)
