/**
 * The addon's raw calls. This is the only file of `engine/` that knows them, and it mirrors `native/node/` name by name.
 *
 * Rules of the border:
 * - No JS callback is ever called from native code. Progress is polled, results are promises, tokens are awaited.
 * - Every array that native code returns lies in an external ArrayBuffer that counts against a byte budget and is freed by
 *   `release()` or, at the latest, by the garbage collector.
 * - Everything is f32 or i32. Site names and axes are those of `engine/sites/`.
 * - Native code checks what would crash it; names, shapes and ranges are checked in TypeScript, where the message is written.
 */

export type SourceDtype = "BF16" | "F16" | "F32";

/** One matrix or vector of the checkpoint: where its elements lie, with strides in elements, so that fused and transposed
 * expert weights need no copy: element (r, c) is at `offset + (r * rowStride + c * colStride) * sizeof(dtype)`. */
export interface WeightSource {
  /** `embed`, `unembed`, `final.norm`, `layers.3.norm.attn`, `.norm.ffn`, `.attn.q|k|v|o`, `.router`, `.shared.gate|up|down`,
   * `.expert.7.gate|up|down`, `.mlp.gate|up|down`. Rows are outputs, columns inputs; a vector has one row. */
  slot: string;
  file: number;
  offset: number;
  dtype: SourceDtype;
  rows: number;
  cols: number;
  rowStride: number;
  colStride: number;
}

export interface NativeLayer {
  /** RoPE and, when the model has it, QK norm; a layer without is NoPE and takes the attention temperature. */
  rope: boolean;
  /** Attends within its chunk only. */
  chunked: boolean;
  moe: boolean;
}

/** Every value that the step needs, none derived. */
export interface NativeConfig {
  vocab: number;
  d: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  /** Width of each routed expert and of the shared expert. */
  ff: number;
  /** Width of dense layers. */
  ffDense: number;
  experts: number;
  topk: number;
  /** 0: no chunk. */
  chunk: number;
  eps: number;
  qkNorm: boolean;
  temperatureTuning: boolean;
  floorScale: number;
  attnScale: number;
  tiedEmbeddings: boolean;
  rope: "hf" | "accurate";
  /** headDim / 2 angles per position, as fp32. torch's own bits (measured for five head sizes and three thetas) are, before scaling,
   * `fround(1 / fround(theta ** fround(2 * j / headDim)))`: two roundings, no table needed. Scaling then rounds to f32 as well. */
  invFreq: Float32Array;
  /** The same as doubles, for `rope: "accurate"`. */
  invFreq64: Float64Array;
  layers: NativeLayer[];
}

export interface LoadSpec {
  config: NativeConfig;
  files: string[];
  weights: WeightSource[];
  /** Seeded random weights instead of files: matrices N(0, std), norms 1. */
  random?: { seed: number; std: number };
  /** int4_32: 4 bits and, of 32 neighbours of a row, one f16 scale; router and norms are f32 then, the embedding bf16. */
  format: "f32" | "bf16" | "int4_32" | "int4_64" | "int4_128";
  /** `cuda`: the first GPU; `math` and `threads` say nothing then. Default: cpu. Throws `device` when there is none. */
  device?: "cpu" | "cuda";
  /** `exact`: straight-line f32, the oracle. `fast`: SIMD and threads. */
  math: "exact" | "fast";
  /** 0: physical cores. */
  threads: number;
}

export interface NativeTask<T> {
  readonly done: Promise<T>;
  cancel(): void;
  progress(): { done: number; total: number };
}

export interface BatchSpec {
  /** New rows of all sequences, one after the other. */
  ids: Int32Array;
  /** How many of them belong to each sequence of the state. */
  lengths: Int32Array;
  /** Rows whose embedding is given (image patches): row indices and `[n, d]` values. */
  embeds?: { rows: Int32Array; values: Float32Array };
}

export interface CaptureSpec {
  /** `embed`, `resid.pre`, `attn.q`, … `final.norm`, `logits`: the part of the name after the layer. */
  site: string;
  /** -1 where the site has no layer. */
  layer: number;
  /** Row indices of the prefill batch; null: all. */
  rows: Int32Array | null;
  /** Rows made while generating, too. */
  decode: boolean;
  /** attn.*: these heads; null: all. */
  heads: Int32Array | null;
  /** expert.*: keep only rows that chose one of these (others are left out of the result's rows). */
  experts: Int32Array | null;
}

/** `data` is `[rows, ...shape]`; `rows` says which row of the whole run each one is. For `attn.pattern` the shape is
 * `[heads, rows, keys]`; for `expert.*` `[rows, slot, width]`; for `attn.summary` `[rows, head, 7]` in the order entropy,
 * entropy_off (without temperature), max, argmax, sink (first visible token), local (last 128), distance (mean). */
export interface Captured {
  site: string;
  layer: number;
  shape: number[];
  data: Float32Array;
  rows: Int32Array;
}

/** Which rows an edit touches. Absent means all. All four are half-open pairs [from, to). Several conditions must all hold. */
export interface RowFilter {
  t?: Int32Array;
  pos?: Int32Array;
  step?: Int32Array;
  ids?: Int32Array;
}

/** Edits as data. `layers` is one byte a layer (for sites without layer it is ignored). They apply in the order given. */
export type NativeEdit = { rows: RowFilter; layers: Uint8Array } & (
  | { op: "route.ban"; experts: Int32Array }
  /** `own`: sigmoid of the forced expert's own logit. `original`: the score of the expert it replaces. `constant`: `value`. */
  | { op: "route.force"; expert: number; score: "own" | "original" | "constant"; value: number }
  | { op: "route.bias"; expert: number; delta: number }
  /** `[rows, layers, topk]` expert ids, -1: free choice. Row = t of the run. Scores are the run's own. */
  | { op: "route.replay"; choice: Int32Array; rowsRecorded: number }
  | { op: "attn.temperature"; law: "off" | "floor"; floor: number; scale: number }
  | {
      op: "site.zero" | "site.scale" | "site.add" | "site.patch";
      site: string;
      heads: Int32Array | null;
      /** scale: the factor; add: the amount. */
      amount: number;
      /** add: one vector `[width]`. patch: `[n, width]`, for the rows named in `patchRows` (t of this run). */
      values: Float32Array | null;
      patchRows: Int32Array | null;
    }
);

export interface ForwardSpec {
  batch: BatchSpec;
  captures: CaptureSpec[];
  edits: NativeEdit[];
  /** Rows a prefill tile, for tests; 0: the engine's choice. */
  tile?: number;
  /** Rows already in the run (t of the first new row); for resumed runs. */
  firstRow?: number;
  /** Note the time after each verb; changes no value. Experts that a tile reads are counted where `router.choice` is captured whole. */
  profile?: boolean;
}

/** The verbs of `native/backend/backend.h`. */
export type NativeVerb = "embed" | "qkv" | "attend" | "out" | "route_ffn" | "ffn_down" | "head" | "sample";

/** Sums over the calls of one verb. `bytes` and `flops`: what they must move and multiply at least (`native/model/work.h`). */
export interface NativeProfileRow {
  phase: "prefill" | "decode";
  verb: NativeVerb;
  calls: number;
  ms: number;
  bytes: number;
  flops: number;
}

export interface NativeProfile {
  /** Bytes a second that are read from memory, measured after the run. 0: not measured. */
  limit: number;
  rows: NativeProfileRow[];
}

export interface GenerateSpec extends ForwardSpec {
  maxTokens: number;
  temperature: number;
  topP: number;
  topK: number;
  seed: number;
  stopIds: Int32Array;
}

export interface ForwardResult {
  captures: Captured[];
  /** Natural-log probability of each row's token given those before it (NaN for a first token), the entropy (nats) of the
   * prediction made at each row, and the rank (0 = most likely) of the row's token. Always made; the logits are not kept. */
  logprob: Float32Array;
  predEntropy: Float32Array;
  rank: Int32Array;
  /** Logits of the last row of every sequence: [sequences, vocab]. */
  last: Float32Array;
  prefillMs: number;
  decodeMs: number;
  /** With `ForwardSpec.profile`. */
  profile?: NativeProfile;
  release(): void;
}

export interface GenerateResult extends ForwardResult {
  /** Generated ids (a stop id that ended it included). */
  ids: Int32Array;
  reason: "length" | "stop" | "cancel";
}

export interface GenerateTask extends NativeTask<GenerateResult> {
  /** Resolves when more than `have` tokens are there or the task ended; ids so far. */
  next(have: number): Promise<Int32Array>;
}

export interface NativeState {
  readonly position: Int32Array;
  forward(spec: ForwardSpec): NativeTask<ForwardResult>;
  /** One sequence only. Rows made while generating append to the captures. */
  generate(spec: GenerateSpec): GenerateTask;
  release(): void;
}

export interface NativeModel {
  /** Refuses (throws `memory`) when the KV does not fit. */
  state(o: { sequences: number; context: number }): NativeState;
  /** f32 copy, `[rows, cols]`. */
  weight(slot: string): Float32Array;
  memory(): { part: string; place: string; bytes: number }[];
  /** Bytes a second of a large copy in the device's memory, read plus written, measured now (for benchmarks); 0 on the CPU. */
  copyRate(): number;
  /** The same of reading, on the CPU too. */
  readRate(): number;
  /** Non-finite weights seen while loading: slot and count. */
  nonFinite(): { slot: string; count: number }[];
  release(): void;
}

export interface NativeInfo {
  version: string;
  isa: "amx" | "avx512" | "avx2" | "neon" | "generic";
  cores: number;
  /** Bytes of memory the machine could still give now, and has in all (cgroup limits respected). */
  free: number;
  total: number;
  /** Bytes in live external buffers, and their budget. */
  external: number;
  budget: number;
}

/** Whether there is CUDA here. `text`: the device's name, or what is missing and what to do. `lost`: a fault has ended the device context of
 * this process, and with it every model there. */
export interface NativeCuda {
  state: "ready" | "no-driver" | "no-device" | "old-driver" | "not-built" | "mismatch" | "lost";
  text: string;
}

export interface Native {
  info(): NativeInfo;
  /** Asks the driver; the first time takes as long as the driver does, then the answer stays, unless the device is lost. */
  cuda(): NativeCuda;
  /** Bytes of the first GPU, now; the first call makes the process's context there. Throws `device` or `lost`. */
  cudaMemory(): { free: number; total: number };
  /** Where the products of long prompts come from (cuBLASLt), or what is slower without it: a sentence; empty without a device. */
  cudaProducts(): string;
  setBudget(bytes: number): void;
  load(spec: LoadSpec): NativeTask<NativeModel>;
  /** What the step multiplies q and k with at these absolute positions, made by the step's own code (long positions cannot be
   * reached by a run): `cos` and `sin` `[positions, headDim / 2]` of the rotation (`config.rope` decides the mode, `config.chunk`
   * the in-chunk position of "accurate"), `temperature` `[positions]` of a NoPE layer. */
  positional(
    config: NativeConfig,
    positions: Int32Array,
  ): { cos: Float32Array; sin: Float32Array; temperature: Float32Array };
}

/** Native errors carry `code` and, where it applies, `where`. `engine/errors.ts` turns them into the typed ones. */
export type NativeErrorCode =
  | "cancelled"
  | "released"
  | "memory"
  | "budget"
  | "file"
  | "nonfinite"
  | "argument"
  | "device"
  | "lost"
  | "internal";
