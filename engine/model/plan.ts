import { freemem } from "node:os";
import type { Config } from "../checkpoint/config.ts";
import { bytes as showBytes } from "../display/format.ts";
import { shows } from "../display/show.ts";
import { BudgetError, fromNative, MemoryError } from "../errors.ts";
import { captureKey } from "../run/captured.ts";
import type { PlannedCapture } from "../sites/capture.ts";
import { numbers, strings } from "../tables/column.ts";
import { Table } from "../tables/table.ts";
import { hasNative, native } from "./addon.ts";
import type { WeightFormat } from "./facts.ts";

/** One row a part of what lies in memory. */
export interface Part {
  part: string;
  place: string;
  bytes: number;
}

export interface PartBytes {
  readonly part: string;
  readonly place: string;
  readonly bytes: number;
}

/** The parts that are weights, as the engine names them. */
export const WEIGHTS: readonly string[] = [
  "embed",
  "attention",
  "router",
  "experts",
  "shared",
  "dense",
  "norms",
  "head",
];

export const bytesOf = (parts: readonly PartBytes[], part: string): number =>
  parts.filter((p) => p.part === part).reduce((a, p) => a + p.bytes, 0);

export type Device = "cpu" | "cuda";
/** Where weights and caches of a device lie, as the engine names it. */
export const placeOf = (device: Device): string => (device === "cuda" ? "cuda" : "memory");
const onDevice = (p: PartBytes): boolean => p.place === "cuda";
const total = (parts: readonly PartBytes[]): number => parts.reduce((n, p) => n + p.bytes, 0);
const more = (parts: readonly PartBytes[], resident: readonly PartBytes[], keep: (p: PartBytes) => boolean): number =>
  total(parts.filter(keep)) - total(resident.filter(keep));

/** Bytes by part, known before anything is allocated. */
export class Plan {
  readonly bytes: number;
  readonly weights: number;
  readonly kv: number;
  readonly captures: number;
  /** What the machine, or the GPU of a plan for "cuda", could still give when the plan was made. */
  readonly free: number;
  readonly fits: boolean;
  readonly parts: Table<Part>;
  readonly #name: string;

  readonly #onDevice: boolean;

  /** @internal `free`: of the device where parts lie there, else of the machine. `resident`: parts that are in memory already. */
  constructor(name: string, parts: readonly PartBytes[], free: number, resident: readonly PartBytes[] = []) {
    this.#name = name;
    this.#onDevice = parts.some(onDevice);
    this.bytes = parts.reduce((a, p) => a + p.bytes, 0);
    this.weights = parts.filter((p) => WEIGHTS.includes(p.part)).reduce((a, p) => a + p.bytes, 0);
    this.kv = bytesOf(parts, "kv");
    this.captures = bytesOf(parts, "captures");
    this.free = free;
    // Captures of a model on the device come to the machine.
    const machine = more(parts, resident, (p) => !onDevice(p));
    this.fits = this.#onDevice
      ? more(parts, resident, onDevice) <= free && machine <= freeBytes("cpu")
      : machine <= free;
    this.parts = partsTable(parts);
  }

  static {
    shows(Plan, { text: (p) => planText(p.#name, p, p.#onDevice ? " on the device" : "") });
  }
}

export const partsTable = (parts: readonly PartBytes[]): Table<Part> =>
  new Table<Part>(
    {
      part: strings(parts.map((p) => p.part)),
      place: strings(parts.map((p) => p.place)),
      bytes: numbers(Float64Array.from(parts, (p) => p.bytes)),
    },
    { name: "parts" },
  );

function planText(name: string, plan: Plan, where: string): string {
  const widest = Math.max(...plan.parts.toArray().map((p) => p.bytes), 1);
  const lines = plan.parts
    .toArray()
    .map(
      (p) =>
        `  ${p.part.padEnd(10)} ${p.place.padEnd(6)} ${showBytes(p.bytes).padStart(9)}  ${"▇".repeat(Math.round((24 * p.bytes) / widest))}`,
    );
  const verdict = plan.fits ? "fits" : "does not fit";
  return [
    `${name} · ${showBytes(plan.bytes)} planned, ${showBytes(plan.free)} free${where}: ${verdict}`,
    ...lines,
  ].join("\n");
}

/** Throws `DeviceError` when the device is lost. */
export function freeBytes(device: Device): number {
  if (device === "cpu") return hasNative() ? native().info().free : freemem();
  try {
    return native().cudaMemory().free;
  } catch (e) {
    throw fromNative(e);
  }
}

const upTo = (n: number, unit: number): number => Math.ceil(n / unit) * unit;

/** A matrix that multiplies. The CPU's SIMD path keeps f32 and bf16 in panels of 32 rows, filled up with zeros; int4 comes in tiles of 8
 * rows by 128 columns everywhere. */
export function matrixBytes(format: WeightFormat, rows: number, cols: number, device: Device = "cpu"): number {
  if (format === "f32" || format === "bf16")
    return (device === "cpu" ? upTo(rows, 32) : rows) * cols * (format === "f32" ? 4 : 2);
  const values = upTo(rows, 8) * upTo(cols, 128);
  return values / 2 + (2 * values) / Number(format.slice("int4_".length));
}

/** Weights by part. Norms and the router are kept in f32 in every format, the embedding is bf16 beside int4. */
export function weightParts(c: Config, format: WeightFormat, device: Device = "cpu"): PartBytes[] {
  const matrix = (rows: number, cols: number) => matrixBytes(format, rows, cols, device);
  const mlp = (width: number) => 2 * matrix(width, c.d) + matrix(c.d, width);
  const [q, kv] = [c.heads * c.headDim, c.kvHeads * c.headDim];
  const moe = c.layerFacts.filter((l) => l.moe).length;
  const dense = c.layers - moe;
  const embed = format === "f32" ? "f32" : "bf16";
  const list: [string, number][] = [
    ["embed", c.tied ? matrixBytes(embed, c.vocab, c.d, device) : c.vocab * c.d * (embed === "f32" ? 4 : 2)],
    ["head", c.tied ? 0 : matrix(c.vocab, c.d)],
    ["attention", c.layers * (matrix(q, c.d) + 2 * matrix(kv, c.d) + matrix(c.d, q))],
    ["experts", moe * c.experts * mlp(c.ff)],
    ["shared", moe * mlp(c.ff)],
    ["dense", dense * mlp(c.ffDense)],
    ["router", moe * matrixBytes("f32", c.experts, c.d, device)],
    ["norms", (2 * c.layers + 1) * c.d * 4],
  ];
  return list.filter(([, bytes]) => bytes > 0).map(([part, bytes]) => ({ part, place: placeOf(device), bytes }));
}

/** Bytes of a number in keys and values: f32, on the device bf16 beside weights below f32 (unless `math` is "exact"). */
export const kvElement = (device: Device, format: WeightFormat, math: "fast" | "exact" = "fast"): number =>
  device === "cuda" && format !== "f32" && math === "fast" ? 2 : 4;

/** Keys and values: a chunked layer keeps one chunk, a global layer everything. */
export function kvParts(
  c: Config,
  sequences: number,
  context: number,
  device: Device = "cpu",
  element = 4,
): PartBytes[] {
  const token = 2 * c.kvHeads * c.headDim * element;
  const chunked = c.layerFacts.filter((l) => l.kind === "chunked").length;
  const slots = chunked * Math.min(context, c.chunk) + (c.layers - chunked) * context;
  return [{ part: "kv", place: placeOf(device), bytes: sequences * slots * token }];
}

/** Positions are f32 products in RoPE; from 2^24 on they are no longer whole. */
const MAX_CONTEXT = 1 << 24;

/** Refuses, with numbers, what the machine cannot hold, or the device where the parts lie there. */
export function refuseMemory(what: string, parts: readonly PartBytes[], fix: string): void {
  const need = total(parts);
  const there = parts.some(onDevice);
  const free = freeBytes(there ? "cuda" : "cpu");
  if (need <= free) return;
  const list = parts.filter((p) => p.bytes > need / 100).map((p) => `${p.part} ${showBytes(p.bytes)}`);
  throw new MemoryError({
    where: what,
    what: `it needs ${showBytes(need)} (${list.join(", ")}), but ${showBytes(free)} are free${there ? " on the device" : ""}`,
    fix,
  });
}

export function refuseContext(context: number): void {
  if (context <= MAX_CONTEXT) return;
  throw new MemoryError({
    where: "context",
    what: `${context} positions are more than the ${MAX_CONTEXT} that can be told apart`,
    fix: "Use a shorter text",
  });
}

/** Refuses captures that do not fit into what is left of the budget for buffers. */
export function refuseCaptures(captures: readonly PlannedCapture[]): void {
  const { external, budget } = native().info();
  const left = budget - external;
  const need = captures.reduce((n, c) => n + c.bytes, 0);
  if (need <= left) return;
  const largest = [...captures].sort((a, b) => b.bytes - a.bytes).slice(0, 3);
  const names = largest.map((c) => `${captureKey(c.spec.site, c.spec.layer)} ${showBytes(c.bytes)}`);
  throw new BudgetError({
    where: "capture",
    what: `${showBytes(need)} are to be captured, but ${showBytes(left)} of the budget of ${showBytes(budget)} are left; the largest: ${names.join(", ")}`,
    fix: "Capture fewer sites or layers, or fewer rows with site.only({ t }), or dispose runs that are no longer needed",
  });
}
