/** Whether a text is a whole cell, decided by where the parser stopped: at the end of the text more lines may mend it, before the end nothing will. */
import { parseSync } from "oxc-parser";
import type { Completeness } from "../bridge/language.ts";

export function completeness(code: string): Completeness {
  if (code.trim() === "") return { status: "complete" };
  let errors: { message: string; labels: { start: number; end: number }[] }[];
  try {
    errors = parseSync("cell.ts", code, { sourceType: "module" }).errors;
  } catch {
    return { status: "unknown" };
  }
  if (!errors.length) return { status: "complete" };
  const end = code.trimEnd().length;
  for (const { message, labels } of errors) {
    const start = labels[0]?.start ?? 0;
    // In a template or a comment any text may follow; a quote ends with its line.
    const open =
      message === "Unterminated multiline comment" ||
      (message === "Unterminated string" && !"'\"".includes(code[start]));
    // `try {}` is reported on what is there.
    if (open || start >= end || message.startsWith("Missing catch"))
      return { status: "incomplete", indent: indentAfter(code) };
  }
  return { status: "invalid" };
}

const INDENT = "  ";

/** The last line's own indentation, one step deeper when it opens more brackets than it closes. */
function indentAfter(code: string): string {
  const line = code.split(/\r?\n/).at(-1)!;
  const own = /^\s*/.exec(line)![0];
  let depth = 0;
  for (const char of line.replace(/(["'`])(?:\\.|(?!\1).)*\1|\/\/.*/g, "")) {
    if ("([{".includes(char)) depth++;
    else if (")]}".includes(char)) depth = Math.max(0, depth - 1);
  }
  return depth > 0 ? own + INDENT : own;
}
