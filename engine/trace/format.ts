import { z } from "zod";

export const FORMAT = "moescope-trace";
export const VERSION = 1;

const count = z.number().int().nonnegative();

/** `manifest.json`: everything that is not a column. */
export const manifestSchema = z.object({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  facts: z.object({
    name: z.string(),
    weights: z.string(),
    rope: z.string(),
    d: count,
    heads: count,
    kvHeads: count,
    headDim: count,
    ff: count,
    ffDense: count,
    experts: count,
    topk: count,
    vocab: count,
    chunk: count,
    temperatureTuning: z.boolean(),
    floorScale: z.number(),
    attnScale: z.number(),
    layers: z.array(
      z.object({ index: count, kind: z.enum(["global", "chunked"]), rope: z.boolean(), moe: z.boolean() }),
    ),
  }),
  meta: z.object({
    model: z.string(),
    weights: z.string(),
    engine: z.string(),
    seed: z.number(),
    prefillMs: z.number(),
    decodeMs: z.number(),
    tokensPerSecond: z.number(),
    reason: z.enum(["length", "stop", "cancel"]).nullable(),
    reply: z.string().nullable(),
  }),
  tokens: count,
  sequences: count,
  groups: z.array(z.string().nullable()),
  edits: z.array(z.unknown()),
  /** By file `sites/NAME.arrow`: the layers in order, with the shape and heads of each. */
  sites: z.array(
    z.object({
      site: z.string(),
      layers: z.array(
        z.object({ layer: z.number().int().gte(-1), shape: z.array(count), heads: z.array(count).nullable() }),
      ),
    }),
  ),
});

export type Manifest = z.infer<typeof manifestSchema>;
