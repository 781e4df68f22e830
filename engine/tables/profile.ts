import { numbers, strings } from "./column.ts";
import { Table } from "./table.ts";

/** The engine's steps in their order: `embed`, then `qkv`, `attend`, `out`, `route_ffn`, `ffn_down` a layer, then `head`; `sample` draws a token. */
export type Verb = "embed" | "qkv" | "attend" | "out" | "route_ffn" | "ffn_down" | "head" | "sample";
export type Phase = "prefill" | "decode";

/** Sums over the calls of one verb in one phase. */
export interface VerbTime {
  readonly phase: Phase;
  readonly verb: Verb;
  readonly calls: number;
  readonly ms: number;
  readonly bytes: number;
  readonly flops: number;
}

/** One phase as a whole. */
export interface PhaseTime {
  readonly tokens: number;
  /** From begin to end, with what lies between the verbs. */
  readonly ms: number;
  readonly msPerToken: number;
  readonly tokensPerSecond: number;
  /** Share of the time that no verb took: choosing captures, bookkeeping, waiting for the device to begin. */
  readonly unaccounted: number;
}

/** What a profile is made from, as plain data. */
export interface ProfileData {
  readonly model: string;
  readonly weights: string;
  readonly device: "cpu" | "cuda";
  /** The run in the middle of so many. */
  readonly repeat: number;
  /** Bytes a second of memory, measured beside; 0: not measured. */
  readonly limit: number;
  readonly prefill: PhaseTime;
  readonly decode: PhaseTime;
  readonly verbs: readonly VerbTime[];
}

export interface ProfileRow {
  phase: Phase;
  verb: Verb;
  calls: number;
  /** Of all calls together. */
  ms: number;
  /** What must move at least: weights once a tile (those of the experts that were chosen), keys and values that are seen, inputs and outputs. */
  bytes: number;
  /** Products and attention; a multiply-add counts two. */
  flops: number;
  /** 10⁹ bytes a second. */
  gbs: number;
  /** 10¹² flops a second. */
  tflops: number;
  /** Of the time of its phase. */
  share: number;
  /** Of the measured rate of memory; above 1 where caches served. NaN: not measured. */
  limit_share: number;
}

export const phaseTime = (tokens: number, ms: number, inVerbs: number): PhaseTime => ({
  tokens,
  ms,
  msPerToken: ms / tokens,
  tokensPerSecond: (1000 * tokens) / ms,
  // The device's clock and the machine's differ by some parts in a million.
  unaccounted: Math.max(0, 1 - inVerbs / ms),
});

export function profileRows(p: ProfileData): ProfileRow[] {
  return p.verbs.map((v) => ({
    ...v,
    gbs: v.bytes / v.ms / 1e6,
    tflops: v.flops / v.ms / 1e9,
    share: v.ms / p[v.phase].ms,
    limit_share: p.limit > 0 ? (1000 * v.bytes) / v.ms / p.limit : Number.NaN,
  }));
}

export function profileTable(p: ProfileData): Table<ProfileRow> {
  const rows = profileRows(p);
  const column = (key: Exclude<keyof ProfileRow, "phase" | "verb">) => numbers(Float64Array.from(rows, (r) => r[key]));
  return new Table<ProfileRow>(
    {
      phase: strings(rows.map((r) => r.phase)),
      verb: strings(rows.map((r) => r.verb)),
      calls: column("calls"),
      ms: column("ms"),
      bytes: column("bytes"),
      flops: column("flops"),
      gbs: column("gbs"),
      tflops: column("tflops"),
      share: column("share"),
      limit_share: column("limit_share"),
    },
    { name: "profile" },
  );
}
