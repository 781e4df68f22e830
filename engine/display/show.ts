import { inspect } from "node:util";
import { DISPLAY, type MimeBundle } from "../host.ts";

/** How objects of a class draw themselves. */
export interface Shown<T> {
  /** For terminals, and for front ends that know nothing better. */
  text(x: T): string;
  /** More forms, richest first, beside the text. */
  bundle?(x: T): MimeBundle | Promise<MimeBundle>;
}

/**
 * Makes a class draw itself in notebooks and in `console.log`. Put on the prototype here, not written as methods, so that the
 * editor's completion lists only what a reader may want to call.
 */
export function shows<T>(cls: abstract new (...args: never[]) => T, how: Shown<T>): void {
  const bundle = (x: T): MimeBundle | Promise<MimeBundle> => {
    const rich = how.bundle?.(x) ?? {};
    const text = { "text/plain": how.text(x) };
    return rich instanceof Promise ? rich.then((more) => ({ ...more, ...text })) : { ...rich, ...text };
  };
  Object.defineProperty(cls.prototype, DISPLAY, {
    configurable: true,
    value(this: T) {
      return bundle(this);
    },
  });
  Object.defineProperty(cls.prototype, inspect.custom, {
    configurable: true,
    value(this: T) {
      return how.text(this);
    },
  });
}

/** The text form of anything that was given one by `shows`. */
export const textOf = (x: unknown): string => inspect(x);
