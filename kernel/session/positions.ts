/** Stack traces in the cells' own lines: `cell 3:2:5` is line 2, column 5 of what the user wrote in the cell shown as [3]. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import { transformSync } from "oxc-transform";
import type { CellId } from "../bridge/messages.ts";
import type { CellScript, EncodedMap } from "./cell-script.ts";

export interface CellSource {
  id: CellId;
  count: number;
  code: string;
  script: CellScript | null;
}

export interface Position {
  /** Null: a local module of the user. */
  cell: CellSource | null;
  file: string;
  line: number;
  column: number;
}

const LOCATION = /(file:\/\/[^\s()]+?\.[cm]?tsx?)(?:\?v=[^:\s()]*)?:(\d+):(\d+)/;
const CELL = /\/moescope-cell-(\d+)\.ts$/;
/** Frames of the kernel itself: of its modules, and of its bundles. */
const OWN = new URL("../", import.meta.url).href;
const OWN_PATH = fileURLToPath(OWN);

export class Positions {
  readonly #cells = new Map<CellId, CellSource>();
  readonly #maps = new Map<string, TraceMap[]>();

  add(source: CellSource): void {
    this.#cells.set(source.id, source);
  }

  /** The latest cell shown under that number. */
  byCount(count: number): CellSource | null {
    return [...this.#cells.values()].findLast((cell) => cell.count === count) ?? null;
  }

  /** The cell that a mapped frame ("at f (cell 3:2:5)") speaks of. */
  cellOf(frame: string): CellId | null {
    const match = /\bcell (\d+):\d+:\d+/.exec(frame);
    return (match && this.byCount(+match[1])?.id) ?? null;
  }

  /** Of one frame's text, 1-based; null when it names neither a cell nor a local TypeScript module. */
  locate(frame: string): Position | null {
    const match = LOCATION.exec(frame);
    if (!match) return null;
    const [, url, line, column] = match;
    const id = CELL.exec(url)?.[1];
    const cell = id === undefined ? null : (this.#cells.get(+id) ?? null);
    if (id !== undefined && !cell) return null;
    let at: { line: number | null; column: number | null } = { line: +line, column: +column - 1 };
    for (const map of this.#mapsOf(url, cell)) {
      at = originalPositionFor(map, { line: at.line!, column: at.column! });
      if (at.line === null) return null;
    }
    return { cell, file: cell ? `cell ${cell.count}` : fileURLToPath(url), line: at.line!, column: at.column! + 1 };
  }

  /** One frame with its place in the user's text. */
  mapped(frame: string): string {
    const position = this.locate(frame);
    return position ? frame.replace(LOCATION, () => `${position.file}:${position.line}:${position.column}`) : frame;
  }

  /** Frames as V8 writes them to those a user wants to see: the kernel's own cut, also everything below the cell. */
  userFrames(frames: string[]): string[] {
    const lowest = frames.findLastIndex((frame) => frame.includes("/moescope-cell-"));
    return (lowest < 0 ? frames : frames.slice(0, lowest + 1))
      .filter((frame) => !frame.includes(OWN) && !frame.includes(OWN_PATH))
      .map((frame) => this.mapped(frame));
  }

  /** From now on `error.stack` itself speaks of cells, so also errors that user code prints or sends elsewhere. */
  install(): void {
    Error.stackTraceLimit = 30;
    Error.prepareStackTrace = (error, sites) => {
      let head: string;
      try {
        head = Error.prototype.toString.call(error);
      } catch {
        head = "Error";
      }
      return [head, ...this.userFrames(sites.map((site) => `    at ${site}`))].join("\n");
    };
  }

  #mapsOf(url: string, cell: CellSource | null): TraceMap[] {
    let maps = this.#maps.get(url);
    if (!maps) {
      const encoded = cell ? (cell.script?.maps() ?? []) : moduleMaps(url);
      maps = encoded.map((map) => new TraceMap(map as never));
      this.#maps.set(url, maps);
    }
    return maps;
  }
}

/** The loader's transform is repeated rather than kept: only errors need it. */
function moduleMaps(url: string): EncodedMap[] {
  try {
    const file = fileURLToPath(url);
    return [transformModule(file, readFileSync(file, "utf8")).map as EncodedMap];
  } catch {
    return [];
  }
}

/** A local module's TypeScript to JavaScript; the loader and the positions must agree on it. */
export const transformModule = (file: string, text: string) =>
  transformSync(file, text, {
    sourceType: "module",
    target: /\busing\b/.test(text) ? "es2024" : "esnext",
    helpers: { mode: "External" as never },
    sourcemap: true,
    typescript: { onlyRemoveTypeImports: true },
  });
