import { num, percent } from "../display/format.ts";
import type { Captured } from "../run/captured.ts";
import { booleans, grid, numbers } from "./column.ts";
import { type RoutingBlock, routingBlock } from "./routing-block.ts";
import { Table } from "./table.ts";
import { selectorContext } from "./tokens.ts";

/** One row a decision of a router: token row, layer, slot (0 for top-1). */
export interface Routing {
  t: number;
  layer: number;
  slot: number;
  expert: number;
  /** The multiplier of the expert's input: sigmoid of the logit, unless forced otherwise. */
  score: number;
  logit: number;
  /** Softmax over all experts' logits (Llama 4 itself does not use it). */
  prob: number;
  /** The best expert that was not chosen. */
  runner_up: number | null;
  /** The weakest chosen logit less the runner-up's. Small: a near tie. Negative: not the router's own choice. */
  margin: number;
  /** Nats, of softmax over the logits. */
  entropy: number;
  /** An edit changed the choice. */
  forced: boolean;
}

/** Repeats a value of the entry for each of its slots. */
function perSlot(values: () => Float32Array | Int32Array, b: RoutingBlock): () => Float32Array | Int32Array {
  if (b.k === 1) return values;
  return () => {
    const from = values();
    const out = new (from.constructor as new (n: number) => Float32Array | Int32Array)(b.length * b.k);
    for (let i = 0; i < out.length; i++) out[i] = from[Math.floor(i / b.k)];
    return out;
  };
}

export function routingTable(run: Captured): Table<Routing> {
  const b = routingBlock(run);
  const n = b.length * b.k;
  const entry = (row: number) => Math.floor(row / b.k);
  const logitAt = (row: number) => {
    const { data, from } = b.logitsAt(entry(row));
    return data[from + b.expert[row]];
  };
  return new Table<Routing>(
    {
      t: numbers(
        perSlot(() => b.t, b),
        n,
      ),
      layer: b.dense
        ? grid(b.layers, b.k, n)
        : numbers(
            perSlot(() => Int32Array.from(b.layerAt, (l) => b.layers[l]), b),
            n,
          ),
      slot: grid(
        Int32Array.from({ length: b.k }, (_, s) => s),
        1,
        n,
      ),
      expert: numbers(b.expert),
      score: numbers(() => b.score, n),
      logit: numbers(() => b.logit, n, null, { one: logitAt }),
      prob: numbers(() => b.softmax.prob, n, null, {
        one: (row) => Math.fround(Math.exp(logitAt(row) - b.softmaxAt(entry(row)).logSum)),
      }),
      runner_up: numbers(
        perSlot(() => b.rivals.runnerUp, b),
        n,
        -1,
        { one: (row) => b.rivalAt(entry(row)).runnerUp },
      ),
      margin: numbers(
        perSlot(() => b.rivals.margin, b),
        n,
        null,
        { one: (row) => Math.fround(b.rivalAt(entry(row)).margin) },
      ),
      entropy: numbers(
        perSlot(() => b.softmax.entropy, b),
        n,
        null,
        { one: (row) => Math.fround(b.softmaxAt(entry(row)).entropy) },
      ),
      forced: booleans(() => {
        const out = new Uint8Array(n);
        for (let i = 0; i < n; i++) {
          const entry = Math.floor(i / b.k);
          if (run.forced(b.t[entry], b.layers[b.layerAt[entry]])) out[i] = 1;
        }
        return out;
      }, n),
    },
    { name: "routing", context: selectorContext(run), summary: () => summary(b) },
  );
}

function summary(b: RoutingBlock): string {
  const counts = new Float64Array(b.layers.length * b.experts);
  for (let i = 0; i < b.expert.length; i++) counts[b.layerAt[Math.floor(i / b.k)] * b.experts + b.expert[i]]++;
  const perLayer = (b.length / b.layers.length) * b.k;
  const parts = [`${b.layers.length} layers × ${b.experts} experts, top-${b.k}`];
  let top = 0;
  counts.forEach((c, i) => {
    if (c > counts[top]) top = i;
  });
  if (perLayer > 0) {
    const util = (counts[top] * b.experts) / perLayer;
    parts.push(`max util ${num(util, 3)} (layer ${b.layers[Math.floor(top / b.experts)]}, expert ${top % b.experts})`);
  }
  if (b.hasLogits && b.length > 0) {
    const { margin } = b.rivals;
    const sorted = Float32Array.from(margin).sort();
    const near = sorted.findIndex((v) => v >= 0.05);
    parts.push(`median margin ${num(sorted[sorted.length >> 1], 3)}`);
    parts.push(`${percent((near < 0 ? sorted.length : near) / sorted.length)} within 0.05 of a flip`);
  }
  return parts.join("  ·  ");
}
