import type * as Api from '@opentelemetry/api'
import { redact, redactText } from '../core/secrets.ts'
import { safely } from './safely.ts'

type OpenTelemetryApi = typeof Api

/** The tracer of now. undefined: no provider is registered. Asked by every call, so cheap: it looks anew where that has changed. */
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
    // A proxy, which stands there before anybody is registered, would make spans that are none.
    const provider = (registered as Partial<Api.ProxyTracerProvider>).getDelegate?.() ?? registered
    if (provider !== this.#provider) {
      this.#provider = provider
      const get = () => discreet(provider.getTracer('meowmx', this.#version))
      this.#tracer = provider === this.#none ? undefined : safely(this.#api, get)
    }
    return this.#tracer
  }
}

/** Begins spans without what may be a credential: names of streams are the application's. */
function discreet(tracer: Api.Tracer): Api.Tracer {
  const startSpan: Api.Tracer['startSpan'] = (name, options, context) =>
    tracer.startSpan(redactText(name), redact(options) as Api.SpanOptions, context)
  return Object.assign(Object.create(tracer), { startSpan })
}

/** What is made of the meter of now. undefined: no provider is registered. Meters have no proxy: one made early is deaf. */
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
