/** For what a cell passes: cells run though the types complain, so each door looks at what comes in. */
import { inspect } from "node:util";
import { ArgumentError } from "./errors.ts";

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
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
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

/** Writes a file; what keeps it from being written becomes a typed error. */
export async function writing(file: string, where: string, write: (file: string) => Promise<void>): Promise<void> {
  const target = filePath(file, where);
  try {
    await write(target);
  } catch (e) {
    throw new ArgumentError({
      where: target,
      what: `it cannot be written (${(e as NodeJS.ErrnoException).code ?? (e as Error).message})`,
      fix: "Check the folder and the space on the disk",
      cause: e,
    });
  }
}
