import { CaptureError } from "../errors.ts";
import { type Captured, captureKey, capturesOf, type SiteCapture } from "../run/captured.ts";
import { alive } from "./alive.ts";
import { once } from "./column.ts";

/**
 * The router's decisions of a run as flat arrays, in the order (t, layer, slot). What logits tell beyond the choice is computed when
 * first touched. Layers may hold different rows (`site.only`); then entries are missing, never made up.
 */
export interface RoutingBlock {
  /** MoE layers captured, ascending. */
  readonly layers: Int32Array;
  readonly experts: number;
  readonly k: number;
  /** Entries (t, layer) in order. */
  readonly length: number;
  readonly t: Int32Array;
  /** Index into `layers`. */
  readonly layerAt: Uint16Array;
  /** Every layer holds the same rows: entry = row * layers.length + layerAt. */
  readonly dense: boolean;
  /** Token rows, ascending (of all layers together). */
  readonly rows: Int32Array;
  /** `[length, k]` */
  readonly expert: Int32Array;
  readonly score: Float32Array;
  /** `[length, k]`: logit of the chosen expert. Throws CaptureError without the router's logits. */
  readonly logit: Float32Array;
  /** `[length]` */
  readonly rivals: { readonly runnerUp: Int32Array; readonly margin: Float32Array };
  /** prob `[length, k]`, entropy (nats, of softmax over all experts) `[length]` */
  readonly softmax: { readonly prob: Float32Array; readonly entropy: Float32Array };
  /** The same for one entry, without computing the others. */
  readonly rivalAt: (i: number) => Rival;
  readonly softmaxAt: (i: number) => Softmax;
  /** Where entry `i`'s logits lie, `experts` of them. */
  readonly logitsAt: (i: number) => { data: Float32Array; from: number };
  readonly hasLogits: boolean;
}

const blocks = new WeakMap<Captured, RoutingBlock>();

/** The block of a run; made once. */
export function routingBlock(run: Captured): RoutingBlock {
  let block = blocks.get(run);
  if (!block) blocks.set(run, (block = build(run)));
  return block;
}

/** The entries' values by layer, in the order of `layers`. */
export function byLayer(block: RoutingBlock, values: Float32Array): Float32Array[] {
  const n = new Int32Array(block.layers.length);
  for (let i = 0; i < block.length; i++) n[block.layerAt[i]]++;
  const out = Array.from(n, (count) => new Float32Array(count));
  n.fill(0);
  for (let i = 0; i < block.length; i++) out[block.layerAt[i]][n[block.layerAt[i]]++] = values[i];
  return out;
}

export const notCaptured = (what: string, add: string): CaptureError =>
  new CaptureError({ what: `${what} was not captured`, fix: `Run again with { capture: ${add} }` });

function build(run: Captured): RoutingBlock {
  const choices = capturesOf(run, "router.choice");
  if (choices.length === 0) {
    if (run.facts.experts === 0 || run.facts.layers.every((l) => !l.moe))
      throw new CaptureError({
        what: `${run.facts.name} has no mixture-of-experts layer, so there is no routing to read`,
      });
    throw notCaptured("The routing", '"routing"');
  }
  const layers = Int32Array.from(choices, (c) => c.layer);
  const { experts } = run.facts;
  const k = choices[0].shape[1] ?? 1;
  const dense = choices.every((c) => sameRows(c.rows, choices[0].rows));
  const { t, layerAt, rowAt } = dense ? denseEntries(choices) : raggedEntries(choices);
  const length = t.length;
  const expert = new Int32Array(length * k);
  choices.forEach(alive);
  for (let i = 0; i < length; i++) {
    const from = choices[layerAt[i]].data;
    for (let s = 0; s < k; s++) expert[i * k + s] = from[rowAt[i] * k + s];
  }
  const scores = choices.map((c) => run.captures.get(captureKey("router.score", c.layer)) ?? null);
  const logits = choices.map((c) => run.captures.get(captureKey("router.logits", c.layer)) ?? null);
  const hasLogits = logits.every((c) => c !== null);
  const finder = logits.map((c, l) => rowFinder(c, choices[l]));
  const logitsAt = (i: number) => {
    const capture = logits[layerAt[i]];
    const row = capture ? finder[layerAt[i]](rowAt[i], t[i]) : -1;
    if (!capture || row < 0) throw notCaptured("The router's logits", 'at.layers("moe").router.logits');
    return { data: alive(capture), from: row * experts };
  };

  const score = once(() => {
    const out = new Float32Array(length * k);
    const finders = scores.map((c, l) => rowFinder(c, choices[l]));
    for (let i = 0; i < length; i++) {
      const capture = scores[layerAt[i]];
      const row = capture ? finders[layerAt[i]](rowAt[i], t[i]) : -1;
      if (!capture || row < 0) throw notCaptured("The router's score", '"routing"');
      for (let s = 0; s < k; s++) out[i * k + s] = alive(capture)[row * k + s];
    }
    return out;
  });
  const logit = once(() => {
    const out = new Float32Array(length * k);
    for (let i = 0; i < length; i++) {
      const { data, from } = logitsAt(i);
      for (let s = 0; s < k; s++) out[i * k + s] = data[from + expert[i * k + s]];
    }
    return out;
  });
  const rivalAt = (i: number): Rival => {
    const { data, from } = logitsAt(i);
    return rivalOf(data, from, experts, expert, i * k, k);
  };
  const softmaxAt = (i: number): Softmax => {
    const { data, from } = logitsAt(i);
    return softmaxOf(data, from, experts);
  };
  const rivals = once(() => {
    const runnerUp = new Int32Array(length);
    const margin = new Float32Array(length);
    for (let i = 0; i < length; i++) {
      const r = rivalAt(i);
      runnerUp[i] = r.runnerUp;
      margin[i] = r.margin;
    }
    return { runnerUp, margin };
  });
  const softmax = once(() => {
    const prob = new Float32Array(length * k);
    const entropy = new Float32Array(length);
    for (let i = 0; i < length; i++) {
      const { data, from } = logitsAt(i);
      const p = softmaxOf(data, from, experts);
      entropy[i] = p.entropy;
      for (let s = 0; s < k; s++) prob[i * k + s] = Math.exp(data[from + expert[i * k + s]] - p.logSum);
    }
    return { prob, entropy };
  });
  return {
    layers,
    experts,
    k,
    length,
    t,
    layerAt,
    dense,
    rows: dense ? choices[0].rows : Int32Array.from(new Set(t)),
    expert,
    get score() {
      return score();
    },
    get logit() {
      return logit();
    },
    get rivals() {
      return rivals();
    },
    get softmax() {
      return softmax();
    },
    rivalAt,
    softmaxAt,
    logitsAt,
    hasLogits,
  };
}

/** Best of the experts that were not chosen (-1: none), and how far the weakest chosen one was ahead of it (negative when it was forced). */
interface Rival {
  readonly runnerUp: number;
  readonly margin: number;
}

function rivalOf(data: Float32Array, from: number, experts: number, expert: Int32Array, at: number, k: number): Rival {
  let weakest = Infinity;
  for (let s = 0; s < k; s++) weakest = Math.min(weakest, data[from + expert[at + s]]);
  let best = -1;
  for (let e = 0; e < experts; e++) {
    let chosen = false;
    for (let s = 0; s < k; s++) if (expert[at + s] === e) chosen = true;
    if (!chosen && (best < 0 || data[from + e] > data[from + best])) best = e;
  }
  return { runnerUp: best, margin: best < 0 ? Number.NaN : weakest - data[from + best] };
}

interface Softmax {
  /** Nats. */
  readonly entropy: number;
  /** ln Σ exp(logit). */
  readonly logSum: number;
}

function softmaxOf(data: Float32Array, from: number, experts: number): Softmax {
  let top = -Infinity;
  for (let e = 0; e < experts; e++) if (data[from + e] > top) top = data[from + e];
  let [z, zx] = [0, 0];
  for (let e = 0; e < experts; e++) {
    const x = data[from + e] - top;
    const w = Math.exp(x);
    z += w;
    zx += w * x;
  }
  return { entropy: Math.max(0, Math.log(z) - zx / z), logSum: top + Math.log(z) };
}

function denseEntries(choices: readonly SiteCapture[]) {
  const rows = choices[0].rows;
  const L = choices.length;
  const n = rows.length * L;
  const [t, layerAt, rowAt] = [new Int32Array(n), new Uint16Array(n), new Int32Array(n)];
  for (let i = 0, r = 0; r < rows.length; r++)
    for (let l = 0; l < L; l++, i++) {
      t[i] = rows[r];
      layerAt[i] = l;
      rowAt[i] = r;
    }
  return { t, layerAt, rowAt };
}

function raggedEntries(choices: readonly SiteCapture[]) {
  const entries = choices
    .flatMap((c, l) => Array.from(c.rows, (t, row) => ({ t, l, row })))
    .sort((a, b) => a.t - b.t || a.l - b.l);
  return {
    t: Int32Array.from(entries, (e) => e.t),
    layerAt: Uint16Array.from(entries, (e) => e.l),
    rowAt: Int32Array.from(entries, (e) => e.row),
  };
}

/** The row of `capture` that belongs to a row of the choices; -1 when it was not captured. */
function rowFinder(capture: SiteCapture | null, choices: SiteCapture): (row: number, t: number) => number {
  if (!capture) return () => -1;
  if (sameRows(capture.rows, choices.rows)) return (row) => row;
  const place = new Map<number, number>();
  capture.rows.forEach((t, row) => {
    place.set(t, row);
  });
  return (_, t) => place.get(t) ?? -1;
}

export function sameRows(a: Int32Array, b: Int32Array): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
