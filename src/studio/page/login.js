// Asks for the token if the address had none, or a wrong one.

import { keepToken } from './api.js'
import { byId } from './dom.js'

const form = byId('login')
form.addEventListener('submit', (event) => {
  event.preventDefault()
  keepToken(byId('token').value.trim())
  location.reload()
})

export function askForToken(wanted) {
  if (form.hidden !== wanted) return
  form.hidden = !wanted
  if (wanted) byId('token').focus()
}
