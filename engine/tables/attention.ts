import { num } from "../display/format.ts";
import { type Captured, captureKey, capturesOf, type SiteCapture, SUMMARY } from "../run/captured.ts";
import { coded, numbers, once } from "./column.ts";
import { notCaptured } from "./routing-block.ts";
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
    return () =>
      Float32Array.from({ length: n }, (_, i) => captures[order.capture[i]].data[order.at[i] * SUMMARY.length + s]);
  };
  const entropy = once(stat("entropy"));
  const kind = captures.map((c) => (facts.layers[c.layer].kind === "global" ? 0 : 1));
  const scales = captures.map((c) => scaleOf(run, c.layer));
  return new Table<Attention>(
    {
      t: numbers(order.t),
      layer: numbers(() => Int32Array.from(order.capture, (c) => captures[c].layer), n),
      head: numbers(order.head),
      kind: coded(() => Int32Array.from(order.capture, (c) => kind[c]), ["global", "chunked"], n),
      n_visible: numbers(
        () =>
          Int32Array.from(order.t, (t, i) => visible(tokens.pos[t], kind[order.capture[i]] === 1 ? facts.chunk : 0)),
        n,
      ),
      scale: numbers(() => Float32Array.from(order.t, (t, i) => scales[order.capture[i]](t)), n),
      entropy: numbers(entropy, n),
      entropy_off: numbers(stat("entropy_off"), n),
      n_eff: numbers(() => entropy().map(Math.exp), n),
      max: numbers(stat("max"), n),
      argmax: numbers(() => Int32Array.from(stat("argmax")()), n),
      sink: numbers(stat("sink"), n),
      local: numbers(stat("local"), n),
      distance: numbers(stat("distance"), n),
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
    return row === undefined ? law(run.tokens.pos[t]) : captured.data[row];
  };
}

/** (t, layer, head) in this order, and where each lies in its capture. */
function entries(captures: readonly SiteCapture[]) {
  let n = 0;
  for (const c of captures) n += c.rows.length * c.shape[1];
  const [t, head, capture, at] = [new Int32Array(n), new Int32Array(n), new Uint16Array(n), new Int32Array(n)];
  const rows = captures.flatMap((c, i) => Array.from(c.rows, (row, r) => ({ t: row, i, r })));
  rows.sort((a, b) => a.t - b.t || a.i - b.i);
  let o = 0;
  for (const row of rows) {
    const c = captures[row.i];
    const heads = c.shape[1];
    for (let h = 0; h < heads; h++, o++) {
      t[o] = row.t;
      head[o] = c.heads?.[h] ?? h;
      capture[o] = row.i;
      at[o] = row.r * heads + h;
    }
  }
  return { length: n, t, head, capture, at };
}
