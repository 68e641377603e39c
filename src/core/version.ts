import { readFileSync } from 'node:fs'

/** The version of this package. The build writes the version itself here (.ci/bundle.js). */
export const version: string = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
).version
