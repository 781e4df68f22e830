import type { Config } from "../checkpoint/config.ts";
import { invFreq, invFreq64 } from "../checkpoint/rope.ts";
import type { LoadSpec, NativeConfig } from "../native.ts";
import type { ModelFacts } from "../run/captured.ts";

export type RopeMode = "hf" | "accurate";
/** As the engine names it: int4 with the size of its groups. */
export type WeightFormat = LoadSpec["format"];
/** As it is asked for. */
export type WeightName = "f32" | "bf16" | "int4";

export const nativeConfig = (c: Config, rope: RopeMode): NativeConfig => ({
  vocab: c.vocab,
  d: c.d,
  heads: c.heads,
  kvHeads: c.kvHeads,
  headDim: c.headDim,
  ff: c.ff,
  ffDense: c.ffDense,
  experts: c.experts,
  topk: c.topk,
  chunk: c.chunk,
  eps: c.eps,
  qkNorm: c.qkNorm,
  temperatureTuning: c.temperatureTuning,
  floorScale: c.floorScale,
  attnScale: c.attnScale,
  tiedEmbeddings: c.tied,
  rope,
  invFreq: invFreq(c.rope, c.headDim),
  invFreq64: invFreq64(c.rope, c.headDim),
  layers: c.layerFacts.map((l) => ({ rope: l.rope, chunked: l.kind === "chunked", moe: l.moe })),
});

export const modelFacts = (c: Config, name: string, weights: string, rope: RopeMode): ModelFacts => ({
  name,
  weights,
  rope,
  d: c.d,
  heads: c.heads,
  kvHeads: c.kvHeads,
  headDim: c.headDim,
  ff: c.ff,
  ffDense: c.ffDense,
  experts: c.experts,
  topk: c.topk,
  vocab: c.vocab,
  chunk: c.chunk,
  temperatureTuning: c.temperatureTuning,
  floorScale: c.floorScale,
  attnScale: c.attnScale,
  layers: c.layerFacts,
});
