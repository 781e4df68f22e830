import { bytes as showBytes } from "../display/format.ts";
import { shows } from "../display/show.ts";
import type { NativeInfo } from "../native.ts";
import type { Table } from "../tables/table.ts";
import { bytesOf, type Part, type PartBytes, partsTable, WEIGHTS } from "./plan.ts";

/** Bytes that a model takes now. */
export class Memory {
  readonly used: number;
  /** What the machine has in all. */
  readonly total: number;
  readonly free: number;
  readonly weights: number;
  readonly kv: number;
  /** Captures and other buffers of all models and runs that are alive. */
  readonly captures: number;
  readonly parts: Table<Part>;
  readonly #name: string;

  /** @internal */
  constructor(name: string, parts: readonly PartBytes[], info: NativeInfo) {
    this.#name = name;
    const all = [...parts, { part: "captures", place: "memory", bytes: info.external }].filter((p) => p.bytes > 0);
    this.used = all.reduce((n, p) => n + p.bytes, 0);
    this.total = info.total;
    this.free = info.free;
    this.weights = all.filter((p) => WEIGHTS.includes(p.part)).reduce((n, p) => n + p.bytes, 0);
    this.kv = bytesOf(all, "kv");
    this.captures = info.external;
    this.parts = partsTable(all);
  }

  static {
    shows(Memory, {
      text: (m) =>
        [
          `${m.#name} · ${showBytes(m.used)} used, ${showBytes(m.free)} of ${showBytes(m.total)} free`,
          ...m.parts
            .toArray()
            .map((p) => `  ${p.part.padEnd(12)} ${p.place.padEnd(7)} ${showBytes(p.bytes).padStart(9)}`),
        ].join("\n"),
    });
  }
}
