/** A row as an array of text, as PostgreSQL sends it; null for NULL. The caller knows the columns and parses them. */
export type Row = readonly (string | null)[]

const RAW_TEXT = { getTypeParser: () => (value: string) => value }

/** The rows of a query, as many as fit in `maxBytes`. The first row always fits. The other rows are dropped as they arrive. */
export class BoundedRows<R extends Row = Row> {
  readonly rows: R[] = []
  readonly #maxBytes: number
  #bytes = 0
  #received = { rows: 0, bytes: 0 }
  #isFull = false

  constructor(maxBytes = Infinity) {
    this.#maxBytes = maxBytes
  }

  /** The size of the rows that were kept, in bytes as they were sent. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether rows were dropped. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** The average size of all rows in bytes, including dropped ones; undefined if there are no rows. */
  get rowBytes(): number | undefined {
    const { rows, bytes } = this.#received
    return rows === 0 ? undefined : bytes / rows
  }

  add(row: R, bytes: number): void {
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

  /** Adds rows that a query of pg has collected. */
  addAll(rows: readonly R[]): void {
    for (const row of rows) this.add(row, sizeOf(row))
  }

  /**
   * Type parsers for pg's own queries, which keep every row. They leave the texts unchanged, and empty those that do not fit.
   */
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

const sizeOf = (row: Row): number =>
  row.reduce((sum, value) => sum + (value === null ? 4 : 4 + Buffer.byteLength(value)), 0)
