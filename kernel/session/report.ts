/** What a thrown value looks like under its cell. */
import { inspect } from "node:util";
import type { ErrorReport } from "../bridge/messages.ts";
import { CellSyntaxError } from "./cell-script.ts";
import type { CellSource, Position, Positions } from "./positions.ts";

const RED = "\u001b[31m";
const DIM = "\u001b[2m";
const RESET = "\u001b[0m";
const CAUSES = 5;

export function reportError(error: unknown, positions: Positions, cell?: CellSource): ErrorReport {
  const { name, message } = naming(error);
  const traceback = [`${RED}${name}${RESET}${message ? `: ${message}` : ""}`];
  if (isError(error) && error instanceof CellSyntaxError && cell) {
    traceback.push(...codeFrame({ cell, file: `cell ${cell.count}`, ...lineColumn(cell.code, error.start) }));
  } else if (isError(error)) traceback.push(...errorBody(error, positions, 0));
  return { name, message, traceback };
}

function errorBody(error: Error, positions: Positions, depth: number): string[] {
  const lines: string[] = [];
  // Mapped already, unless user code has taken Error.prepareStackTrace for itself.
  const frames = positions.userFrames(framesOf(error));
  const place = frames.find((frame) => /\(?cell \d+:\d+:\d+/.test(frame));
  const position = place && positionOf(place, positions);
  if (position) lines.push(...codeFrame(position));
  lines.push(...frames.map((frame) => `${DIM}${frame}${RESET}`));
  const { errors, cause } = related(error);
  if (Array.isArray(errors)) {
    for (const inner of errors.slice(0, CAUSES)) lines.push(...nested("One of its errors", inner, positions, depth));
  }
  if (cause !== undefined) lines.push(...nested("Caused by", cause, positions, depth));
  return lines;
}

function related(error: Error): { errors?: unknown; cause?: unknown } {
  try {
    return { errors: (error as { errors?: unknown }).errors, cause: error.cause };
  } catch {
    return {};
  }
}

function nested(title: string, error: unknown, positions: Positions, depth: number): string[] {
  if (depth >= CAUSES) return [];
  const { name, message } = naming(error);
  const head = `${title} ${RED}${name}${RESET}${message ? `: ${message}` : ""}`;
  return isError(error) ? [head, ...errorBody(error, positions, depth + 1)] : [head];
}

/** A thrown value that is no error still has a name and a text. */
function naming(error: unknown): { name: string; message: string } {
  try {
    if (isError(error))
      return { name: String(error.name || error.constructor?.name || "Error"), message: String(error.message) };
    return { name: "Thrown", message: inspect(error, { depth: 2, maxArrayLength: 20, maxStringLength: 2000 }) };
  } catch {
    return { name: "Thrown", message: "a value that cannot be shown" };
  }
}

/** Errors of other realms (a vm context, a worker) count too. */
function isError(value: unknown): value is Error {
  try {
    return value instanceof Error || Object.prototype.toString.call(value) === "[object Error]";
  } catch {
    // A proxy may throw on any question.
    return false;
  }
}

function framesOf(error: Error): string[] {
  try {
    return String(error.stack ?? "")
      .split("\n")
      .filter((line) => /^\s+at /.test(line));
  } catch {
    return [];
  }
}

function positionOf(frame: string, positions: Positions): Position | null {
  const [, count, line, column] = /cell (\d+):(\d+):(\d+)/.exec(frame)!;
  const cell = positions.byCount(+count);
  return cell && { cell, file: `cell ${count}`, line: +line, column: +column };
}

/** Two lines around the place, as the user wrote them, and a mark under it. */
function codeFrame({ cell, line, column, file }: Position): string[] {
  const source = cell!.code.split("\n");
  const first = Math.max(1, line - 2);
  const last = Math.min(source.length, line + 1);
  const width = String(last).length;
  const lines = [`${DIM}${file}, line ${line}, column ${column}${RESET}`];
  for (let n = first; n <= last; n++) {
    const text = source[n - 1].length > 200 ? `${source[n - 1].slice(0, 200)}…` : source[n - 1];
    lines.push(`${n === line ? `${RED}>${RESET}` : " "} ${String(n).padStart(width)} ${DIM}|${RESET} ${text}`);
    if (n === line && column <= 200) {
      lines.push(`  ${" ".repeat(width)} ${DIM}|${RESET} ${" ".repeat(column - 1)}${RED}^${RESET}`);
    }
  }
  return lines;
}

function lineColumn(code: string, offset: number): { line: number; column: number } {
  const before = code.slice(0, offset).split("\n");
  return { line: before.length, column: before.at(-1)!.length + 1 };
}
