import { bytes as showBytes } from "../display/format.ts";
import { shows } from "../display/show.ts";
import type { Native } from "../native.ts";
import type { Table } from "../tables/table.ts";
import { bytesOf, type Device, type Part, type PartBytes, partsTable, WEIGHTS } from "./plan.ts";

const LOST = { free: 0, total: 0 };

/** Bytes that a model takes now. */
export class Memory {
  readonly used: number;
  /** What the machine has in all, or the GPU where the model lies; 0 when that is lost. */
  readonly total: number;
  readonly free: number;
  readonly weights: number;
  readonly kv: number;
  /** Captures and other buffers of all models and runs that are alive. */
  readonly captures: number;
  readonly parts: Table<Part>;
  readonly #name: string;
  readonly #device: Device;

  /** @internal */
  constructor(name: string, parts: readonly PartBytes[], native: Native, device: Device) {
    this.#name = name;
    this.#device = device;
    const info = native.info();
    const lies = device === "cpu" ? info : native.cuda().state === "lost" ? LOST : native.cudaMemory();
    const all = [...parts, { part: "captures", place: "memory", bytes: info.external }].filter((p) => p.bytes > 0);
    this.used = all.reduce((n, p) => n + p.bytes, 0);
    this.total = lies.total;
    this.free = lies.free;
    this.weights = all.filter((p) => WEIGHTS.includes(p.part)).reduce((n, p) => n + p.bytes, 0);
    this.kv = bytesOf(all, "kv");
    this.captures = info.external;
    this.parts = partsTable(all);
  }

  #room(): string {
    if (this.#device === "cpu") return `${showBytes(this.free)} of ${showBytes(this.total)} free`;
    if (this.total === 0) return "the device is lost";
    return `${showBytes(this.free)} of ${showBytes(this.total)} free on the device`;
  }

  static {
    shows(Memory, {
      text: (m) =>
        [
          `${m.#name} · ${showBytes(m.used)} used, ${m.#room()}`,
          ...m.parts
            .toArray()
            .map((p) => `  ${p.part.padEnd(12)} ${p.place.padEnd(7)} ${showBytes(p.bytes).padStart(9)}`),
        ].join("\n"),
    });
  }
}
