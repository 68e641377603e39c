// Runs the examples that it is sent, one after another, each with the database that it is sent. Most of an example's time is
// for loading the library, which happens only once here.
import { format } from 'node:util'

let printed = ''
console.log = (...values: unknown[]) => {
  printed += `${format(...values)}\n`
}
process.stdout.write = ((text: string) => {
  printed += text
  return true
}) as typeof process.stdout.write

process.on('message', async ({ file, url }: { file: string; url: string }) => {
  printed = ''
  process.env.DATABASE_URL = url
  let error: string | undefined
  try {
    await import(file)
    if (process.exitCode) throw new Error(`exit code ${process.exitCode}`)
  } catch (cause) {
    error = format(cause)
  }
  process.send!({ stdout: printed, error })
})
