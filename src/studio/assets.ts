import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const TYPES: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
}

const PAGE = [
  'index.html',
  'style.css',
  'views.css',
  'narrow.css',
  'icon.svg',
  'main.js',
  'api.js',
  'dom.js',
  'format.js',
  'json.js',
  'keys.js',
  'theme.js',
  'plot.js',
  'categories.js',
  'tail.js',
  'stream.js',
  'subscriptions.js',
  'parked.js',
  'stallers.js',
]

export interface Asset {
  readonly type: string
  readonly body: Buffer
}

/** Everything that the browser loads, by its path: our own files as they are, and uPlot as it is published. */
export function readAssets(): ReadonlyMap<string, Asset> {
  const resolve = createRequire(import.meta.url).resolve
  const assets = new Map<string, Asset>()
  const add = (path: string, file: string | URL) =>
    assets.set(path, { type: TYPES[path.split('.').at(-1)!]!, body: readFileSync(file) })
  // From dist/studio and from src/studio alike.
  for (const name of PAGE) add(`/${name}`, new URL(`../../src/studio/page/${name}`, import.meta.url))
  add('/uplot.js', resolve('uplot/dist/uPlot.iife.min.js'))
  add('/uplot.css', resolve('uplot/dist/uPlot.min.css'))
  return assets
}

/** On every answer. Script and style come from files of ours alone, and no markup is ever made of text (Trusted Types). */
export const HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'Cache-Control': 'no-store',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
}
