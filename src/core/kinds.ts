import { types } from 'node:util'

// Objects may come from another realm (node:vm, Jest). The Error and Date of that realm are different classes, so `instanceof`
// does not recognize them.

/** An error of any realm. */
export function isError(value: unknown): value is Error {
  try {
    return types.isNativeError(value) || value instanceof Error || hasTag(value, 'DOMException')
  } catch {
    return false // it is a revoked proxy
  }
}

export const { isDate, isMap, isRegExp, isSet } = types

/** Whether it is an object without a class. */
export function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** Whether it can be awaited. */
export function isPromise(value: unknown): value is Promise<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}

/** Whether it is an object of the built-in class with this name, of any realm. */
export function hasTag(value: unknown, name: string): boolean {
  return Object.prototype.toString.call(value) === `[object ${name}]`
}
