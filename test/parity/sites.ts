/** Every captured site of a run beside its reference. */
import type { Model } from "../../engine/index.ts";
import { signs } from "./checkpoint.ts";
import { assertAlive, type Difference, difference, largest } from "./compare.ts";
import type { Fixture, Reference } from "./fixture.ts";

/** The order in which a layer forms its values, so that the first difference named is the first one made. */
const ORDER = [
  "resid.pre",
  ...["in", "q", "k", "v", "temperature", "qUsed", "kUsed", "pattern", "summary", "z", "out"].map((s) => `attn.${s}`),
  "resid.mid",
  ...["in", "logits", "choice", "score"].map((s) => `router.${s}`),
  ...["in", "gate", "up", "act", "out"].map((s) => `expert.${s}`),
  ...["routed.out", "shared.act", "shared.out", "mlp.act", "mlp.out", "ffn.out", "resid.post"],
];

export function rank(site: string): number {
  const m = /^layers\.(\d+)\.(.*)$/.exec(site);
  if (m) return 1 + Number(m[1]) * ORDER.length + ORDER.indexOf(m[2]);
  return site === "embed" ? 0 : site === "final.norm" ? 1e6 : 1e6 + 1;
}

/** `[head, q, k]` to `[q, head, k]`: fixtures keep rows first. */
function rowsFirst(site: string, x: Float32Array, rows: number): Float32Array {
  if (!site.endsWith("attn.pattern")) return x;
  const heads = x.length / (rows * rows);
  const out = new Float32Array(x.length);
  for (let h = 0; h < heads; h++) {
    for (let q = 0; q < rows; q++) {
      out.set(x.subarray((h * rows + q) * rows, (h * rows + q + 1) * rows), (q * heads + h) * rows);
    }
  }
  return out;
}

export async function capture(m: Model, ids: Int32Array, sites: string[]): Promise<(site: string) => Float32Array> {
  const r = await m.run({ ids }, { capture: sites });
  return (site) => rowsFirst(site, r.get(site).data, ids.length);
}

/** Columns of attn.summary; entropies have the scale ln(visible), the rest that of the column. */
const SUMMARY = ["entropy", "entropy_off", "max", "argmax", "sink", "local", "distance"];

function summaries(site: string, got: Float32Array, want: Reference): Difference[] {
  const n = SUMMARY.length;
  return SUMMARY.map((name, c) => {
    const column = (x: ArrayLike<number>) => Float64Array.from({ length: x.length / n }, (_, i) => x[i * n + c]);
    return difference(`${site} ${name}`, column(got), column(want.data), want.shape.slice(0, 2));
  });
}

/** All values of every site of `full/`. */
export async function compareFull(m: Model, f: Fixture): Promise<Difference[]> {
  const sites = [...f.tensors.keys()].filter((k) => k.startsWith("full/")).map((k) => k.slice(5));
  sites.sort((a, b) => rank(a) - rank(b));
  const rows = f.get("full/embed").shape[0];
  const of = await capture(m, f.ids("ids").slice(0, rows), sites);
  return sites.flatMap((site) => {
    const want = f.get(`full/${site}`);
    const got = of(site);
    assertAlive(site, got);
    if (site.endsWith("attn.summary")) return summaries(site, got, want);
    return difference(site, got, want.data, want.shape);
  });
}

/** Every row of every site, each dotted with a fixed unit vector, over the scale of the site. */
export async function compareProjected(m: Model, f: Fixture): Promise<Difference[]> {
  const names: string[] = JSON.parse(f.metadata["sites"]);
  const ids = f.ids("ids");
  const rows = ids.length;
  const of = await capture(m, ids, names);
  const order = names.map((site, i) => ({ site, i })).sort((a, b) => rank(a.site) - rank(b.site));
  return order.map(({ site, i }) => {
    const got = of(site);
    assertAlive(site, got);
    const width = got.length / rows;
    const unit = signs(site, width);
    const dots = Float64Array.from({ length: rows }, (_, t) => {
      let sum = 0;
      for (let j = 0; j < width; j++) sum += unit[j] * got[t * width + j];
      return sum;
    });
    const scale = f.floats("scale")[i];
    const close = difference(
      `${site} (projected)`,
      dots,
      f.floats("proj").subarray(i * rows, (i + 1) * rows),
      [rows],
      scale,
    );
    // A projection cannot see a site whose magnitude alone is off in one element; the scale can.
    const size = Math.abs(largest(got) - scale) / scale;
    return size > close.off
      ? { ...close, off: size, what: `${site} (largest)`, got: largest(got), want: scale }
      : close;
  });
}
