// The tracer and the meter of the providers that are registered now.
import type * as Api from '@opentelemetry/api'
import { redact, redactText } from '../core/secrets.ts'
import { safely } from './safely.ts'

type OpenTelemetryApi = typeof Api

/** The current tracer; undefined if no provider is registered. Every call asks for it, so it is looked up only when the provider changes. */
export class Tracers {
  readonly #api: OpenTelemetryApi
  readonly #version: string
  readonly #none: Api.TracerProvider
  #provider: Api.TracerProvider | undefined
  #tracer: Api.Tracer | undefined

  constructor(api: OpenTelemetryApi, version: string) {
    this.#api = api
    this.#version = version
    this.#none = new api.ProxyTracerProvider().getDelegate()
  }

  get current(): Api.Tracer | undefined {
    const registered = this.#api.trace.getTracerProvider()
    // Before a provider is registered, there is a proxy, whose spans would record nothing.
    const provider = (registered as Partial<Api.ProxyTracerProvider>).getDelegate?.() ?? registered
    if (provider !== this.#provider) {
      this.#provider = provider
      const get = () => redactingTracer(provider.getTracer('meowmx', this.#version))
      this.#tracer = provider === this.#none ? undefined : safely(this.#api, get)
    }
    return this.#tracer
  }
}

/** A tracer that removes possible credentials from the names and attributes of spans, since applications choose the names of streams. */
function redactingTracer(tracer: Api.Tracer): Api.Tracer {
  const startSpan: Api.Tracer['startSpan'] = (name, options, context) =>
    tracer.startSpan(redactText(name), redact(options) as Api.SpanOptions, context)
  return Object.assign(Object.create(tracer), { startSpan })
}

/** What `make` makes of the current meter; undefined if no provider is registered. A meter made before that would never report anything. */
export class Meters<T> {
  readonly #api: OpenTelemetryApi
  readonly #version: string
  readonly #make: (meter: Api.Meter) => T
  readonly #forget: (made: T) => void
  #provider: Api.MeterProvider | undefined
  #made: T | undefined

  constructor(
    api: OpenTelemetryApi,
    version: string,
    make: (meter: Api.Meter) => T,
    forget: (made: T) => void,
  ) {
    this.#api = api
    this.#version = version
    this.#make = make
    this.#forget = forget
  }

  get current(): T | undefined {
    const provider = this.#api.metrics.getMeterProvider()
    if (provider !== this.#provider) {
      this.close()
      this.#provider = provider
      this.#made = safely(this.#api, () => {
        const meter = provider.getMeter('meowmx', this.#version)
        return meter === this.#api.createNoopMeter() ? undefined : this.#make(meter)
      })
    }
    return this.#made
  }

  close(): void {
    const made = this.#made
    this.#made = undefined
    if (made) safely(this.#api, () => this.#forget(made))
  }
}
