import { types } from 'node:util'

// Objects may come from another realm (node:vm, Jest): its Error and Date are not ours, so `instanceof` tells nothing of them.

/** An error of any realm. */
export function isError(value: unknown): value is Error {
  try {
    return types.isNativeError(value) || value instanceof Error || hasTag(value, 'DOMException')
  } catch {
    return false // a proxy that is revoked
  }
}

export const { isDate, isMap, isRegExp, isSet } = types

/** An object that is no instance of any class. */
export function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** Something to wait for. */
export function isPromise(value: unknown): value is Promise<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}

/** Whether it is an object of a built-in class that says its name. */
export function hasTag(value: unknown, name: string): boolean {
  return Object.prototype.toString.call(value) === `[object ${name}]`
}
