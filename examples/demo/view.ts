import { performance } from 'node:perf_hooks'
import { Latencies, Rate } from './meter.ts'
import type { Figures } from './read-model.ts'

export interface Executor {
  pid: number
  version: number
  /** E.g. `at work`. */
  role: string
  owner: boolean
  handled: number
}

const FRAME_MS = 200
const LINE_MS = 1_000
const number = (value: number) => Math.round(value).toLocaleString('en-US')

/** The live view: redrawn in place on a terminal, else a line a second. */
export class View {
  readonly latencies = new Latencies()
  readonly #total: number
  readonly #out = process.stdout
  readonly #live: boolean
  readonly #begin = performance.now()
  readonly #appended = new Rate()
  readonly #handled = new Rate()
  readonly #notes: string[] = []
  readonly #frame: string[] = []
  #drawn = 0 // lines of the frame on the screen
  #lastLine = 0

  constructor(title: string, total: number) {
    this.#total = total
    const { isTTY, rows = 0 } = this.#out
    this.#live = Boolean(isTTY) && rows >= 20 && process.env.TERM !== 'dumb'
    if (this.#live) {
      this.#out.write('\x1b[?25l') // no cursor, while we are there
      process.once('exit', () => this.#out.write('\x1b[?25h'))
    }
    this.#print(['', `  ${title}`, ''])
  }

  /** How long to wait before the next `draw`, in ms. */
  get pause(): number {
    return FRAME_MS
  }

  /** Something happened: it stays on the screen. */
  note(text: string): void {
    const line = `  ${this.#clock()}  ${text}`
    this.#notes.push(line)
    if (this.#live) this.#redraw()
    else this.#print([line])
  }

  draw(figures: Figures, executors: readonly Executor[]): void {
    const { appended, handled } = figures
    const now = performance.now()
    const rates = [this.#appended.sample(now, appended), this.#handled.sample(now, handled)].map(number)
    const latency = this.latencies.show(now - 1_000)
    const lag = number(appended - handled)
    if (this.#live) {
      this.#frame.splice(
        0,
        Infinity,
        this.#bar('appended', appended, rates[0]!),
        this.#bar('handled ', handled, rates[1]!),
        '',
        `  lag ${lag} events   push latency ${latency}`,
        '',
        ...executors.map(
          ({ pid, version, role, owner, handled }, i) =>
            `  ${owner ? '▶' : ' '} executor ${i + 1}  version ${version}  pid ${pid}  ${number(handled).padStart(6)} handled  ${role}`,
        ),
        '',
      )
      this.#redraw()
    } else if (now - this.#lastLine >= LINE_MS - FRAME_MS / 2) {
      this.#lastLine = now
      const owner = executors.find(({ owner }) => owner)
      this.#print([
        `  ${this.#clock()}  appended ${number(appended)} (${rates[0]}/s)  handled ${number(handled)} (${rates[1]}/s)  ` +
          `lag ${lag}  push ${latency}  owner ${owner ? owner.pid : 'none'}`,
      ])
    }
  }

  /** The closing lines. */
  end(lines: readonly string[]): void {
    this.#print(['', ...lines.map((line) => line && `  ${line}`), ''])
  }

  #clock(): string {
    return `${((performance.now() - this.#begin) / 1000).toFixed(1).padStart(5)} s`
  }

  #bar(name: string, count: number, rate: string): string {
    const width = Math.max(10, Math.min(60, (this.#out.columns || 80) - 42))
    const full = Math.floor((count / this.#total) * width)
    const of = `${number(count).padStart(6)} of ${number(this.#total)}`
    return `  ${name}  ${'█'.repeat(full)}${'░'.repeat(width - full)}  ${of} ${rate.padStart(6)}/s`
  }

  #redraw(): void {
    const width = (this.#out.columns || 80) - 1
    const lines = [...this.#frame, ...this.#notes].map((line) => line.slice(0, width))
    const back = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : ''
    this.#out.write(`${back}\r${lines.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J`)
    this.#drawn = lines.length
  }

  #print(lines: readonly string[]): void {
    if (lines.length) this.#out.write(`${lines.join('\n')}\n`)
  }
}
