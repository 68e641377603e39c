import { redact } from './secrets.ts'

/** A logger with the methods of pino or `console`. */
export interface Logger {
  debug(...args: unknown[]): void
  info(...args: unknown[]): void
  warn(...args: unknown[]): void
  error(...args: unknown[]): void
}

export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/** The default, so that no failure is silent. `console` is looked up at each call, because a test may replace it. */
export const consoleLogger: Logger = {
  ...silent,
  warn: (fields, message) => console.warn(`meowmx: ${message}`, fields),
  error: (fields, message) => console.error(`meowmx: ${message}`, fields),
}

/** Wraps a logger so that it never gets anything that may be a credential. */
export function redacting(logger: Logger): Logger {
  const tell =
    (level: keyof Logger) =>
    (...args: unknown[]) =>
      logger[level](...args.map(redact))
  return { debug: tell('debug'), info: tell('info'), warn: tell('warn'), error: tell('error') }
}
