// A browser for tests of pages, if there is one.
import { existsSync } from 'node:fs'
import type { Browser } from 'playwright-core'
import { chromium } from 'playwright-core'
import type { test } from 'uvu'
import { unless } from './ways.ts'

const EXECUTABLE = '/usr/bin/chromium'
const ARGS = '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking'

export const isChromiumThere = existsSync(EXECUTABLE)

/** `test`, or what skips it with a word. */
export const inChromium = (run: typeof test) =>
  unless(!isChromiumThere && `there is no ${EXECUTABLE} (Debian: apt-get install chromium)`, run)

export const launchChromium = (): Promise<Browser> =>
  chromium.launch({ executablePath: EXECUTABLE, args: ARGS.split(' ') })
