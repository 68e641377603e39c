// Many connections to a feed, from a process of their own: `node http-clients.mjs port path…`, one connection a path. It prints a
// line when all are connected, and one line with all delays in ms each time that every connection has got an event.
import { connect } from 'node:net'

const [port, ...paths] = process.argv.slice(2)
const now = () => Number(process.hrtime.bigint()) / 1e6
let connected = 0
let delays = []

/** So many are opened at the same time: a server's queue of new connections is short. */
const OPENING = 100
let opened = 0

function open() {
  const path = paths[opened++]
  if (path === undefined) return
  const socket = connect(Number(port), '127.0.0.1')
  let begun = false
  socket.setEncoding('utf8')
  socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`)
  socket.on('data', (text) => {
    if (!begun && text.includes('event: control')) {
      begun = true
      open()
      if (++connected === paths.length) console.log('connected')
    }
    for (const [, at] of text.matchAll(/"at":([\d.]+)/g)) delays.push(now() - Number(at))
    if (delays.length < paths.length) return
    console.log(JSON.stringify(delays))
    delays = []
  })
  socket.on('error', (error) => {
    console.error(error.message)
    process.exit(1)
  })
}

for (let n = 0; n < OPENING; n++) open()
