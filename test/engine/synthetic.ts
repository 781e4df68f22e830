/** A made-up run that looks like a real one: for tests of tables, metrics and plots without an engine. */
import {
  type Captured,
  captureKey,
  type ModelFacts,
  type SiteCapture,
  SUMMARY,
  type TokenKind,
} from "../../engine/run/captured.ts";
import { random } from "../../engine/tables/random.ts";
import { temperatureAt } from "../../engine/tables/temperature-law.ts";

export interface SyntheticOptions {
  layers?: number;
  experts?: number;
  topk?: number;
  heads?: number;
  chunk?: number;
  floorScale?: number;
  sequences?: number;
  length?: number;
  seed?: number;
  text?: string;
  /** Every n-th layer is global (NoPE); the others chunked. */
  globalEvery?: number;
  d?: number;
  /** Added to the logits of one expert: a collapsed router. */
  pull?: number;
  temperatureTuning?: boolean;
  attention?: boolean;
  logits?: boolean;
  groups?: readonly string[];
}

const TEXT =
  "The capital of France is Paris . The capital of Japan is Tokyo . 17 + 25 = 42 \n const x = 3 ; if ( x > 2 ) return x * 2 ; \n Der 24. November 2026 ist ein Dienstag . le prix est 12,50 € \n";

export function synthetic(o: SyntheticOptions = {}): Captured {
  const {
    layers = 8,
    experts = 8,
    topk = 1,
    heads = 4,
    chunk = 64,
    floorScale = 64,
    sequences = 1,
    length = 48,
    seed = 1,
    globalEvery = 4,
    d = 6,
    pull = 0,
  } = o;
  const next = random(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const facts: ModelFacts = {
    name: "tiny-scout",
    weights: "bf16",
    rope: "hf",
    d,
    heads,
    kvHeads: heads,
    headDim: 8,
    ff: 16,
    ffDense: 32,
    experts,
    topk,
    vocab: 40,
    chunk,
    temperatureTuning: o.temperatureTuning ?? true,
    floorScale,
    attnScale: 0.1,
    layers: Array.from({ length: layers }, (_, index) => {
      const global = (index + 1) % globalEvery === 0;
      return { index, kind: global ? "global" : "chunked", rope: !global, moe: true } as const;
    }),
  };
  const words = (o.text ?? TEXT).split(/(?<= )/);
  const n = sequences * length;
  const vocabulary = [...new Set(words)];
  const seq = Int32Array.from({ length: n }, (_, t) => Math.floor(t / length));
  const pos = Int32Array.from({ length: n }, (_, t) => t % length);
  const text = Array.from(pos, (p, t) => (p === 0 ? "<|begin_of_text|>" : words[(p - 1 + seq[t] * 7) % words.length]));
  const ids = Int32Array.from(text, (w) => Math.max(0, vocabulary.indexOf(w) + 1) % facts.vocab);
  const logprob = Float32Array.from(pos, (p) => (p === 0 ? Number.NaN : -Math.abs(normal()) * (0.4 + 2 * next())));
  const captures = new Map<string, SiteCapture>();
  const rows = Int32Array.from({ length: n }, (_, t) => t);
  const put = (site: string, layer: number, axes: string, shape: number[], data: Float32Array) =>
    captures.set(captureKey(site, layer), { site, layer, axes, shape, data, rows, heads: null });
  for (const { index: layer, rope } of facts.layers) {
    const likes = Float64Array.from({ length: experts * facts.vocab }, normal);
    const base = Float64Array.from({ length: experts }, () => 0.4 * normal());
    const logits = new Float32Array(n * experts);
    const choice = new Float32Array(n * topk);
    const score = new Float32Array(n * topk);
    for (let t = 0; t < n; t++) {
      const row = logits.subarray(t * experts, (t + 1) * experts);
      const sure = 0.5 + (1.4 * layer) / layers;
      for (let e = 0; e < experts; e++)
        row[e] = sure * (likes[e * facts.vocab + ids[t]] + base[e] + 0.5 * normal()) - 0.6 + (e === 2 ? pull : 0);
      const order = Array.from(row.keys()).sort((a, b) => row[b] - row[a] || a - b);
      for (let s = 0; s < topk; s++) {
        choice[t * topk + s] = order[s];
        score[t * topk + s] = 1 / (1 + Math.exp(-row[order[s]]));
      }
    }
    put("router.choice", layer, "t slot", [n, topk], choice);
    put("router.score", layer, "t slot", [n, topk], score);
    if (o.logits !== false) put("router.logits", layer, "t expert", [n, experts], logits);
    const out = Float32Array.from({ length: n * topk * d }, normal);
    put("expert.out", layer, "t slot d", [n, topk, d], out);
    if (o.attention === false) continue;
    const width = SUMMARY.length;
    const summary = new Float32Array(n * heads * width);
    for (let t = 0; t < n; t++)
      for (let h = 0; h < heads; h++) {
        const seen = 1 + (rope ? pos[t] % chunk : pos[t]);
        const s = rope ? 1 : temperatureAt(pos[t], floorScale, 0.1);
        const sigma = 0.7 + 0.5 * h;
        const entropy = (scale: number) =>
          Math.max(0.05 * next(), Math.log(seen) - (scale * sigma) ** 2 / 2 + 0.12 * normal());
        const noise = [entropy(s), entropy(1)].map((v) => Math.min(Math.log(seen), v));
        summary.set(
          [
            noise[0],
            noise[1],
            Math.exp(-noise[0]),
            Math.floor(next() * seen),
            next() / 3,
            next() / 2,
            (seen * next()) / 2,
          ],
          (t * heads + h) * width,
        );
      }
    put("attn.summary", layer, "t head stat", [n, heads, width], summary);
  }
  return {
    facts,
    tokens: {
      length: n,
      ids,
      seq,
      pos,
      step: new Int32Array(n).fill(-1),
      text,
      kind: Array.from(pos, (p): TokenKind => (p === 0 ? "bos" : "text")),
      role: text.map(() => ""),
      group: Array.from({ length: sequences }, (_, s) => o.groups?.[s % o.groups.length] ?? null),
      logprob,
      predEntropy: Float32Array.from({ length: n }, () => 2 * next()),
      rank: Int32Array.from(pos, (p) => (p === 0 ? -1 : Math.floor(next() * 4))),
    },
    sequences,
    captures,
    last: Float32Array.from({ length: sequences * facts.vocab }, normal),
    tokenBytes: () => new Uint8Array(0),
    tokenText: (id) => vocabulary[id - 1] ?? `<${id}>`,
    edits: [],
    forced: () => false,
    meta: {
      model: facts.name,
      weights: facts.weights,
      engine: "test",
      seed: 0,
      prefillMs: 3,
      decodeMs: 0,
      tokensPerSecond: 0,
      reason: null,
      reply: null,
    } as Captured["meta"],
  };
}
