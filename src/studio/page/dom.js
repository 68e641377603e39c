// Helpers that make and change elements.

/**
 * An element. Text is inserted as text and never as markup, so an event cannot change the page.
 *
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes] `class`, `title` …; a function is a listener: `click`; null: left out
 * @param {...(Node | string | null)} children
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name, value)
    else if (value != null && value !== false) element.setAttribute(name, value === true ? '' : String(value))
  }
  element.append(...children.filter((child) => child !== null))
  return element
}

/** @param {string} id */
export const byId = (id) => document.getElementById(id)

/** Writes only what differs, so that a selection, or a screen reader, is not disturbed. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/**
 * Brings a list of elements in line with a list of items, and keeps the elements of items that stay: their focus too.
 *
 * @template T
 * @param {Element} parent
 * @param {readonly T[]} items
 * @param {(item: T) => string} key
 * @param {(item: T) => HTMLElement} make
 * @param {(element: HTMLElement, item: T) => void} update
 */
export function keyed(parent, items, key, make, update) {
  const known = new Map([...parent.children].map((element) => [element.dataset.key, element]))
  let place = parent.firstElementChild
  for (const item of items) {
    let element = known.get(key(item))
    if (element) known.delete(key(item))
    else {
      element = make(item)
      element.dataset.key = key(item)
    }
    update(element, item)
    if (element === place) place = place.nextElementSibling
    else parent.insertBefore(element, place)
  }
  for (const element of known.values()) element.remove()
}

/** Cells of a table row, each with what it is called, for narrow screens. */
export const cells = (...list) =>
  list.map(([label, className, ...children]) =>
    h('td', { class: className, 'data-label': label }, ...children),
  )
