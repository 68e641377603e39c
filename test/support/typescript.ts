/** What Node must be given to run a TypeScript file: `spawn(process.execPath, [...typescript, file])`. */
export const typescript = ['--import', new URL('./typescript.js', import.meta.url).href]
