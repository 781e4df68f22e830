/** What a front end expects of `kernel/language/` (types, completion, hover) and what it gives it. All positions are UTF-16 offsets or 0-based lines and columns in the cell's own text. */
import type { MimeBundle } from "../display/mime.ts";

export interface LanguageCell {
  /** As in CellRequest. A cell may be checked and never accepted (its code failed to parse, or strict types refused it). */
  count: number;
  code: string;
}

export interface Diagnostic {
  severity: "error" | "warning";
  /** The number without "TS". */
  code: number;
  message: string;
  /** "Did you mean", "Did you forget to use 'await'", "declared here". */
  related: string[];
  start: { line: number; column: number };
  end: { line: number; column: number };
}

export interface Completions {
  items: { text: string; type: string; signature?: string }[];
  /** The range that the chosen item replaces. */
  start: number;
  end: number;
}

export type Completeness = { status: "complete" | "invalid" | "unknown" } | { status: "incomplete"; indent: string };

export interface Language {
  /** Type errors of the cell, against the cells accepted so far. Starts the language server when it is not running. */
  check(cell: LanguageCell): Promise<Diagnostic[]>;
  /** The cell ran (entirely, or until it threw): what it declares is known to later cells. Cheap; never starts the server. */
  accept(cell: LanguageCell): void;
  /** Names from types and, where they know more, from live values. Never rejects for reasons of the server: then live values alone. */
  complete(code: string, cursor: number): Promise<Completions>;
  /** Signature, type and documentation at the cursor (text/plain and text/markdown), or null. detail 1 adds what is known of the value. */
  inspect(code: string, cursor: number, detail: 0 | 1): Promise<MimeBundle | null>;
  isComplete(code: string): Completeness;
  close(): Promise<void>;
}

/** Looks at the values of the session without side effects, also while a cell runs (V8 inspector, throwOnSideEffect). */
export interface LiveValues {
  /** Names declared by cells. */
  names(): Promise<string[]>;
  /** Property names of the value of a side-effect-free expression, prototypes included; null when it cannot be evaluated so. */
  properties(expression: string): Promise<{ name: string; type: string }[] | null>;
  /** One line: type and short value ("Float32Array(3)", "function f(a, b)"); null as above. */
  describe(expression: string): Promise<string | null>;
}

export interface LanguageOptions {
  /** The notebook's folder: imports resolve from here. */
  folder: string;
  live: LiveValues;
}

/** `kernel/language/language.ts` exports `createLanguage` of this type. It must be cheap: nothing heavy before first need. */
export type CreateLanguage = (options: LanguageOptions) => Language;
