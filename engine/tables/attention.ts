import { num } from "../display/format.ts";
import { type Captured, captureKey, capturesOf, type SiteCapture, SUMMARY } from "../run/captured.ts";
import { alive } from "./alive.ts";
import { coded, computed, numbers } from "./column.ts";
import { notCaptured, sameRows } from "./routing-block.ts";
import { Table } from "./table.ts";
import { lawOf } from "./temperature-law.ts";
import { selectorContext } from "./tokens.ts";

/** One row a query: token row, layer, head. Made while attending, without ever storing the pattern. */
export interface Attention {
  t: number;
  layer: number;
  head: number;
  kind: "global" | "chunked";
  /** Keys that the query may see, itself among them. */
  n_visible: number;
  /** The attention temperature's factor on the query. */
  scale: number;
  /** Nats, of the weights over the visible keys. */
  entropy: number;
  /** The same without the temperature. */
  entropy_off: number;
  /** Effective number of keys: exp(entropy). */
  n_eff: number;
  max: number;
  /** Position of the key with the largest weight. */
  argmax: number;
  /** Weight on the first visible token. */
  sink: number;
  /** Weight on the last 128 keys. */
  local: number;
  /** Mean distance, in tokens, from query to key. */
  distance: number;
}

export function attentionTable(run: Captured): Table<Attention> {
  const captures = capturesOf(run, "attn.summary");
  if (captures.length === 0) throw notCaptured("The attention summary", '"attention"');
  const { facts, tokens } = run;
  const order = entries(captures);
  const n = order.length;
  const stat = (name: (typeof SUMMARY)[number]) => {
    const s = SUMMARY.indexOf(name);
    return (i: number) => alive(captures[order.capture[i]])[order.at[i] * SUMMARY.length + s];
  };
  const kind = captures.map((c) => (facts.layers[c.layer].kind === "global" ? 0 : 1));
  const scales = captures.map((c) => scaleOf(run, c.layer));
  const seen = (i: number) => visible(tokens.pos[order.t[i]], kind[order.capture[i]] === 1 ? facts.chunk : 0);
  const entropy = stat("entropy");
  return new Table<Attention>(
    {
      t: numbers(order.t),
      layer: computed("i32", n, (i) => captures[order.capture[i]].layer),
      head: numbers(order.head),
      kind: coded(() => Int32Array.from(order.capture, (c) => kind[c]), ["global", "chunked"], n),
      n_visible: computed("i32", n, seen),
      scale: computed("f32", n, (i) => scales[order.capture[i]](order.t[i])),
      entropy: computed("f32", n, entropy),
      entropy_off: computed("f32", n, stat("entropy_off")),
      n_eff: computed("f32", n, (i) => Math.exp(entropy(i))),
      max: computed("f32", n, stat("max")),
      argmax: computed("i32", n, stat("argmax")),
      sink: computed("f32", n, stat("sink")),
      local: computed("f32", n, stat("local")),
      distance: computed("f32", n, stat("distance")),
    },
    {
      name: "attention",
      context: selectorContext(run),
      summary: () => `${captures.length} layers × ${num(n / captures.length / (run.tokens.length || 1))} heads`,
    },
  );
}

/** A chunked layer sees its own chunk only. */
export const visible = (pos: number, chunk: number): number => 1 + (chunk > 0 ? pos % chunk : pos);

/** The factor of a layer at a token row: as captured (edits included), else by the law. */
export function scaleOf(run: Captured, layer: number): (t: number) => number {
  const law = lawOf(run.facts, run.facts.layers[layer].rope);
  const captured = run.captures.get(captureKey("attn.temperature", layer));
  if (!captured) return (t) => law(run.tokens.pos[t]);
  const place = new Map<number, number>();
  captured.rows.forEach((t, row) => {
    place.set(t, row);
  });
  return (t) => {
    const row = place.get(t);
    return row === undefined ? law(run.tokens.pos[t]) : alive(captured)[row];
  };
}

/** (t, layer, head) in this order, and where each lies in its capture. */
function entries(captures: readonly SiteCapture[]) {
  let n = 0;
  for (const c of captures) n += c.rows.length * c.shape[1];
  const [t, head, capture, at] = [new Int32Array(n), new Int32Array(n), new Uint16Array(n), new Int32Array(n)];
  let o = 0;
  const add = (i: number, row: number) => {
    const c = captures[i];
    const heads = c.shape[1];
    for (let h = 0; h < heads; h++, o++) {
      t[o] = c.rows[row];
      head[o] = c.heads?.[h] ?? h;
      capture[o] = i;
      at[o] = row * heads + h;
    }
  };
  const { rows } = captures[0];
  if (captures.every((c) => sameRows(c.rows, rows))) {
    for (let row = 0; row < rows.length; row++) for (let i = 0; i < captures.length; i++) add(i, row);
  } else {
    const order = captures.flatMap((c, i) => Array.from(c.rows, (u, row) => ({ u, i, row })));
    for (const { i, row } of order.sort((a, b) => a.u - b.u || a.i - b.i)) add(i, row);
  }
  return { length: n, t, head, capture, at };
}
