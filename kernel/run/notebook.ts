/** Notebook files (nbformat 4): read with a word on what is wrong with them, written as Jupyter writes them, so that a diff shows only what changed. */
import { randomBytes } from "node:crypto";
import { existsSync, realpathSync, renameSync, statSync, writeFileSync } from "node:fs";
import type { MimeBundle } from "../display/mime.ts";

export type NotebookOutput =
  | { output_type: "stream"; name: "stdout" | "stderr"; text: string }
  | { output_type: "display_data"; data: MimeBundle; metadata: MimeBundle }
  | { output_type: "execute_result"; data: MimeBundle; metadata: MimeBundle; execution_count: number | null }
  | { output_type: "error"; ename: string; evalue: string; traceback: string[] };

export interface NotebookCell {
  cell_type: "code" | "markdown" | "raw";
  id: string;
  metadata: Record<string, unknown>;
  source: string;
  /** Of code cells. */
  outputs?: NotebookOutput[];
  execution_count?: number | null;
  [other: string]: unknown;
}

export interface Notebook {
  cells: NotebookCell[];
  metadata: Record<string, unknown>;
  nbformat: 4;
  nbformat_minor: number;
}

/** A file that is no notebook; `message` says where and what. */
export class NotebookError extends Error {
  override name = "NotebookError";
}

export function readNotebook(text: string, name: string): Notebook {
  const fail = (what: string): never => {
    throw new NotebookError(`${name}: ${what}`);
  };
  let raw: any;
  try {
    raw = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    return fail(`not a notebook, since it is not JSON (${(error as Error).message})`);
  }
  if (typeof raw !== "object" || raw === null || !("nbformat" in raw))
    return fail('not a notebook: it has no "nbformat"');
  if (raw.nbformat !== 4)
    return fail(
      `notebook format ${raw.nbformat}; this reads format 4. Open and save it in Jupyter to bring it up to date`,
    );
  if (!Array.isArray(raw.cells)) return fail('it has no list of "cells"');
  const ids = new Set<string>();
  const cells = raw.cells.map((cell: any, index: number): NotebookCell => {
    const at = `cell ${index + 1}`;
    if (typeof cell !== "object" || cell === null) return fail(`${at} is not an object`);
    if (!["code", "markdown", "raw"].includes(cell.cell_type))
      return fail(`${at} has the unknown type ${JSON.stringify(cell.cell_type)}`);
    const id = freshId(cell.id, ids);
    const plain: NotebookCell = {
      ...cell,
      id,
      metadata: cell.metadata ?? {},
      source: joined(cell.source) ?? fail(`${at} has no "source" text`),
    };
    if (cell.cell_type === "code") {
      plain.outputs = (cell.outputs ?? []).map(joinedOutput);
      plain.execution_count = cell.execution_count ?? null;
    }
    return plain;
  });
  // Cell ids came with 4.5; an older notebook gets them.
  return {
    ...raw,
    cells,
    metadata: raw.metadata ?? {},
    nbformat: 4,
    nbformat_minor: Math.max(5, raw.nbformat_minor ?? 0),
  };
}

/** A notebook of one code cell. */
export function notebookOf(source: string): Notebook {
  const cell: NotebookCell = {
    cell_type: "code",
    id: randomBytes(4).toString("hex"),
    metadata: {},
    source,
    outputs: [],
    execution_count: null,
  };
  return { cells: [cell], metadata: {}, nbformat: 4, nbformat_minor: 5 };
}

function freshId(id: unknown, taken: Set<string>): string {
  const valid = typeof id === "string" && /^[a-zA-Z0-9_-]{1,64}$/.test(id) && !taken.has(id);
  const own = valid ? id : randomBytes(4).toString("hex");
  taken.add(own);
  return own;
}

const joined = (text: unknown): string | null =>
  typeof text === "string"
    ? text
    : Array.isArray(text) && text.every((line) => typeof line === "string")
      ? text.join("")
      : null;

function joinedOutput(output: any): NotebookOutput {
  if (output.output_type === "stream") return { ...output, text: joined(output.text) ?? "" };
  if (!output.data) return output;
  return {
    ...output,
    data: Object.fromEntries(
      Object.entries(output.data).map(([type, value]) => [type, isJson(type) ? value : (joined(value) ?? value)]),
    ),
  };
}

const isJson = (type: string): boolean => type === "application/json" || type.endsWith("+json");
/** Types whose text Jupyter stores as a list of lines. */
const isLines = (type: string): boolean =>
  (type.startsWith("text/") || type === "image/svg+xml" || type === "application/javascript") && !isJson(type);

/** The file's text: keys in order, one space of indentation, texts as lists of lines, as Python's nbformat writes it. */
export function notebookText(notebook: Notebook): string {
  const cells = notebook.cells.map((cell) => ({
    ...cell,
    source: lines(cell.source),
    ...(cell.outputs && { outputs: cell.outputs.map(splitOutput) }),
  }));
  return `${JSON.stringify(sorted({ ...notebook, cells }), null, 1)}\n`;
}

function splitOutput(output: NotebookOutput): unknown {
  if (output.output_type === "stream") return { ...output, text: lines(output.text) };
  if (!("data" in output)) return output;
  const data = Object.entries(output.data).map(([type, value]) => [
    type,
    isLines(type) && typeof value === "string" ? lines(value) : value,
  ]);
  return { ...output, data: Object.fromEntries(data) };
}

const lines = (text: string): string[] => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}

/** Writes beside the file and moves it into place: a notebook is never half written. Links and permissions stay. */
export function writeWhole(path: string, text: string): void {
  const target = existsSync(path) ? realpathSync(path) : path;
  const mode = statSync(target, { throwIfNoEntry: false })?.mode;
  const temporary = `${target}.${process.pid}.tmp`;
  writeFileSync(temporary, text, mode === undefined ? {} : { mode });
  renameSync(temporary, target);
}
