import type { Captured } from "../run/captured.ts";
import { booleans, computed, grid, numbers } from "./column.ts";
import { notCaptured, routingBlock } from "./routing-block.ts";
import { Table } from "./table.ts";
import { selectorContext } from "./tokens.ts";

/** One row for every expert that a router weighed: token row, layer, expert. */
export interface RouterRow {
  t: number;
  layer: number;
  expert: number;
  logit: number;
  /** Softmax over the layer's experts. */
  prob: number;
  /** Sigmoid of the logit: the multiplier that the expert would have had. */
  score: number;
  chosen: boolean;
}

export function routerTable(run: Captured): Table<RouterRow> {
  const b = routingBlock(run);
  if (!b.hasLogits) throw notCaptured("The router's logits", 'at.layers("moe").router.logits');
  const E = b.experts;
  const n = b.length * E;
  const logitAt = (row: number) => {
    const { data, from } = b.logitsAt(Math.floor(row / E));
    return data[from + (row % E)];
  };
  return new Table<RouterRow>(
    {
      t: b.dense
        ? grid(b.rows, b.layers.length * E, n)
        : numbers(() => Int32Array.from({ length: n }, (_, i) => b.t[Math.floor(i / E)]), n),
      layer: b.dense
        ? grid(b.layers, E, n)
        : numbers(() => Int32Array.from({ length: n }, (_, i) => b.layers[b.layerAt[Math.floor(i / E)]]), n),
      expert: grid(
        Int32Array.from({ length: E }, (_, e) => e),
        1,
        n,
      ),
      logit: computed("f32", n, logitAt),
      prob: numbers(
        () => {
          const out = new Float32Array(n);
          for (let i = 0; i < b.length; i++) {
            const { data, from } = b.logitsAt(i);
            softmaxInto(out, i * E, data, from, E);
          }
          return out;
        },
        n,
        null,
        { one: (row) => Math.fround(Math.exp(logitAt(row) - b.softmaxAt(Math.floor(row / E)).logSum)) },
      ),
      score: computed("f32", n, (row) => 1 / (1 + Math.exp(-logitAt(row)))),
      chosen: booleans(() => {
        const out = new Uint8Array(n);
        for (let i = 0; i < b.length; i++) for (let s = 0; s < b.k; s++) out[i * E + b.expert[i * b.k + s]] = 1;
        return out;
      }, n),
    },
    { name: "router", context: selectorContext(run), summary: () => `logits of ${E} experts` },
  );
}

export function softmaxInto(out: Float32Array, to: number, data: Float32Array, from: number, n: number): void {
  let top = -Infinity;
  for (let e = 0; e < n; e++) if (data[from + e] > top) top = data[from + e];
  let z = 0;
  for (let e = 0; e < n; e++) z += out[to + e] = Math.exp(data[from + e] - top);
  for (let e = 0; e < n; e++) out[to + e] /= z;
}
