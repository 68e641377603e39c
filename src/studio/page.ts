// Reads the files of the page.
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const folder = new URL('../../src/studio/page/', import.meta.url) // from dist/studio as well
/** The client of feeds as the build makes it, without what needs RxJS. */
const client = new URL('../../dist/client/', import.meta.url)
const CLIENT = ['clock', 'connection', 'messages', 'remote-error', 'seats']
const uplot = createRequire(import.meta.url).resolve

/**
 * All files that the browser loads, by name: our own, those of `meowmx/client` and uPlot as they are published. When the sources run, this module
 * reads the files as it loads. The build puts the files into this module (.ci/bundle.js).
 */
export const page: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    readdirSync(folder)
      .sort()
      .map((name) => [name, readFileSync(new URL(name, folder), 'utf8')]),
  ),
  ...Object.fromEntries(
    CLIENT.map((name) => [`client/${name}.js`, readFileSync(new URL(`${name}.js`, client), 'utf8')]),
  ),
  'uplot.js': readFileSync(uplot('uplot/dist/uPlot.iife.min.js'), 'utf8'),
  'uplot.css': readFileSync(uplot('uplot/dist/uPlot.min.css'), 'utf8'),
}
