/** For what a cell passes: cells run though the types complain, so each door looks at what comes in. */
import { inspect } from "node:util";
import { clip } from "./display/format.ts";
import { ArgumentError, type Fault } from "./errors.ts";

const LONGEST = 100;

/** A value as messages quote it: one short line, whatever it is. */
export function quoted(value: unknown): string {
  const text =
    typeof value === "string"
      ? JSON.stringify(value)
      : inspect(value, {
          depth: 1,
          customInspect: false,
          breakLength: Number.POSITIVE_INFINITY,
          maxArrayLength: 8,
          maxStringLength: 80,
        });
  return clip(text, LONGEST);
}

/** Options, a filter, a selection: an object. */
export function options<T extends object>(o: T, where: string): T {
  if (typeof o === "object" && o !== null) return o;
  throw new ArgumentError({
    where,
    what: `${quoted(o)} is not an object of options`,
    fix: "Leave it out, or give { … }",
  });
}

/** A count: a whole number from `least` on. */
export function whole(n: number, where: string, least: number): number {
  if (Number.isInteger(n) && n >= least) return n;
  throw new ArgumentError({
    where,
    what: `${quoted(n)} is not a number of them`,
    fix: `Give a whole number of at least ${least}`,
  });
}

/** A place among `n`, where negative ones count from the end. What is no whole number stays what it is, to be refused. */
export const fromEnd = (place: number, n: number): number => (Number.isInteger(place) && place < 0 ? n + place : place);

/** The same functions, each of which looks at its options first. */
export function guarded<T extends object>(where: string, api: T): T {
  const doors = Object.entries(api as Record<string, (o?: object) => unknown>).map(([name, open]) => [
    name,
    (o?: object) => open(o === undefined ? o : options(o, `${where}.${name}`)),
  ]);
  return Object.fromEntries(doors) as T;
}

/** The name of a file or folder. */
export function filePath(value: string, where: string): string {
  if (typeof value === "string" && value !== "" && !value.includes("\0")) return value;
  throw new ArgumentError({ where, what: `${quoted(value)} is not a path`, fix: "Give the name of a file" });
}

/** What to say of a file or folder that could not be written. */
export const unwritable = (target: string, cause: unknown): Fault => ({
  where: target,
  what: `it cannot be written (${(cause as NodeJS.ErrnoException).code ?? (cause as Error).message})`,
  fix: "Check the folder and the space on the disk",
  cause,
});

/** Writes a file; what keeps it from being written becomes a typed error. */
export async function writing(file: string, where: string, write: (file: string) => Promise<void>): Promise<void> {
  const target = filePath(file, where);
  try {
    await write(target);
  } catch (e) {
    throw new ArgumentError(unwritable(target, e));
  }
}
