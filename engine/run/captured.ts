/**
 * What a run holds: plain data, made by the model or read from a trace. Tables, metrics and plots are built from this alone,
 * so they work the same with and without an engine.
 */
import type { Edit } from "../edits/edit.ts";

export type LayerKind = "global" | "chunked";

/** What pictures and tables need to know of one layer. */
export interface LayerFacts {
  readonly index: number;
  readonly kind: LayerKind;
  /** RoPE, or no position encoding (then the attention temperature applies). */
  readonly rope: boolean;
  readonly moe: boolean;
}

/** What pictures and tables need to know of the model. */
export interface ModelFacts {
  readonly name: string;
  /** "f32", "bf16", or of int4 the groups too: "int4_32". */
  readonly weights: string;
  readonly rope: string;
  readonly d: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ff: number;
  readonly ffDense: number;
  /** 0 without MoE layers. */
  readonly experts: number;
  readonly topk: number;
  readonly vocab: number;
  /** 0: no chunk. */
  readonly chunk: number;
  readonly temperatureTuning: boolean;
  readonly floorScale: number;
  readonly attnScale: number;
  readonly layers: readonly LayerFacts[];
}

export type TokenKind = "bos" | "text" | "image" | "special";

/** One entry a token row; `t`, the row number, joins everything. */
export interface TokenRows {
  readonly length: number;
  readonly ids: Int32Array;
  /** Which sequence of the batch. */
  readonly seq: Int32Array;
  /** Place in its sequence. */
  readonly pos: Int32Array;
  /** Of generation, 0 for the first generated token; -1 for a token of the prompt. */
  readonly step: Int32Array;
  /** The token as text, for display: a piece that ends inside a character shows its bytes as `\xE2`. */
  readonly text: readonly string[];
  readonly kind: readonly TokenKind[];
  /** "user", "assistant", …; "" outside a chat. */
  readonly role: readonly string[];
  /** By sequence; null where `m.batch` had no `group`. */
  readonly group: readonly (string | null)[];
  /** Natural log-probability of the row's token given those before it; NaN for the first of a sequence. */
  readonly logprob: Float32Array;
  /** Entropy (nats) of the prediction made at the row. */
  readonly predEntropy: Float32Array;
  /** 0: the row's token was the likeliest. -1 for the first of a sequence. */
  readonly rank: Int32Array;
}

/** One site of one layer. `data` is row-major over `axes`, where the first `t` (or, for `attn.pattern`, `q`) is labelled by `rows`. */
export interface SiteCapture {
  /** The site's name without the layer: "router.logits", "resid.post", "logits". */
  readonly site: string;
  /** -1 where the site has no layer. */
  readonly layer: number;
  /** "t d", "t head dh", "head q k", "t slot ff", "t head stat", … */
  readonly axes: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
  /** The t of each captured row. */
  readonly rows: Int32Array;
  /** Which heads the head axis holds; null: all. */
  readonly heads: Int32Array | null;
}

/** The places along the last axis of `attn.summary`. */
export const SUMMARY = ["entropy", "entropy_off", "max", "argmax", "sink", "local", "distance"] as const;

export interface RunMeta {
  readonly model: string;
  readonly weights: string;
  readonly engine: string;
  readonly seed: number;
  readonly prefillMs: number;
  readonly decodeMs: number;
  readonly tokensPerSecond: number;
  /** Why generation ended; null when nothing was generated. */
  readonly reason: "length" | "stop" | "cancel" | null;
  /** What was generated, without control tokens and stop strings; null when nothing was. */
  readonly reply: string | null;
}

export interface Captured {
  readonly facts: ModelFacts;
  readonly tokens: TokenRows;
  readonly sequences: number;
  /** By `captureKey(site, layer)`. */
  readonly captures: ReadonlyMap<string, SiteCapture>;
  /** Logits of the last row of each sequence, `[sequences, vocab]`: the prediction of what comes next. NaN where a stop string ended it. */
  readonly last: Float32Array;
  /** The text of a token id, for tables of predictions. */
  readonly tokenText: (id: number) => string;
  /** Its bytes; several tokens together make text. */
  readonly tokenBytes: (id: number) => Uint8Array;
  readonly edits: readonly Edit[];
  /** Was the choice at (row, layer) changed by a routing edit? */
  readonly forced: (t: number, layer: number) => boolean;
  readonly meta: RunMeta;
}

export const captureKey = (site: string, layer: number): string => (layer < 0 ? site : `layers.${layer}.${site}`);

/** A site's capture in every layer that has it, in order of layers. */
export function capturesOf(run: Captured, site: string): SiteCapture[] {
  const found: SiteCapture[] = [];
  for (const capture of run.captures.values()) if (capture.site === site) found.push(capture);
  return found.sort((a, b) => a.layer - b.layer);
}
