// A dialog that says what will be lost, and does it only if the operator agrees.

import { byId, h, write } from './dom.js'

const dialog = byId('ask')
const form = dialog.querySelector('form')
const yes = byId('ask-yes')
let act

byId('ask-no').addEventListener('click', () => dialog.close())
form.addEventListener('submit', async (event) => {
  event.preventDefault()
  yes.disabled = true
  write(byId('ask-error'), '')
  try {
    await act(Object.fromEntries(new FormData(form)))
    dialog.close()
  } catch (error) {
    write(byId('ask-error'), error.message)
  } finally {
    yes.disabled = false
  }
})

/**
 * Opens the dialog. If `run` throws, the dialog stays open and shows the message.
 *
 * @param {{ title: string, text: string, yes: string, no?: string, fields?: { name: string, label: string, value?: string }[] }} what
 * @param {(values: Record<string, string>) => Promise<void>} run
 */
export function ask({ title, text, yes: word, no = 'Cancel', fields = [] }, run) {
  write(byId('ask-title'), title)
  write(byId('ask-text'), text)
  write(byId('ask-error'), '')
  write(yes, word)
  write(byId('ask-no'), no)
  const field = ({ name, label, value }) =>
    h(
      'label',
      {},
      label,
      h('input', { name, value, required: true, autocomplete: 'off', spellcheck: 'false' }),
    )
  byId('ask-fields').replaceChildren(...fields.map(field))
  act = run
  dialog.showModal()
  if (fields.length === 0) byId('ask-no').focus() // Enter alone changes nothing
}
