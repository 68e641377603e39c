import { redact } from './secrets.ts'

/** Pino- or console-shaped. */
export interface Logger {
  debug(...args: unknown[]): void
  info(...args: unknown[]): void
  warn(...args: unknown[]): void
  error(...args: unknown[]): void
}

export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/** The default, so that nothing fails or ends without a word. `console` is looked up with each call: a test may replace it. */
export const consoleLogger: Logger = {
  ...silent,
  warn: (fields, message) => console.warn(`meowmx: ${message}`, fields),
  error: (fields, message) => console.error(`meowmx: ${message}`, fields),
}

/** Tells the other what it is told, without what may be a credential. */
export function redacting(logger: Logger): Logger {
  const tell =
    (level: keyof Logger) =>
    (...args: unknown[]) =>
      logger[level](...args.map(redact))
  return { debug: tell('debug'), info: tell('info'), warn: tell('warn'), error: tell('error') }
}
