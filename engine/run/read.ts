import { CaptureError } from "../errors.ts";
import { siteLayers } from "../sites/capture.ts";
import { headsOf } from "../sites/names.ts";
import { matcher, type Rows } from "../sites/selector.ts";
import { partsOf, type Site } from "../sites/site.ts";
import { makeTensor, type Tensor } from "../tensors/tensor.ts";
import { type Captured, captureKey, type SiteCapture } from "./captured.ts";

/**
 * A captured site as a tensor. One layer's is the captured memory itself; several layers are stacked, and `only` may take less than
 * was captured; those are copies.
 *
 * Errors: `SiteError` for a layer that lacks the site; `CaptureError` when it was not captured, saying what to add.
 */
export function readSite<A extends string>(run: Captured, site: Site<A>): Tensor<A> {
  const { name, layer, single } = partsOf(site);
  const layers = layer === null ? [-1] : siteLayers(site, run.facts).map((l) => l.index);
  const captures = layers.map((l) => narrow(find(run, captureKey(name, l), site), run, site));
  if (layer === null || single) return tensorOf(site.axes, captures[0]);
  return stack(site, layers, captures);
}

function find(run: Captured, key: string, site: Site<any>): SiteCapture {
  const capture = run.captures.get(key);
  if (capture) return capture;
  const has = [...run.captures.keys()];
  throw new CaptureError({
    where: key,
    what: `this run did not capture it${has.length ? "" : " (nor anything else)"}`,
    fix: `Run it again with { capture: "${site.path}" }, or add that to the list`,
  });
}

/** The part that `only` names; the capture itself when that is all of it. */
function narrow(c: SiteCapture, run: Captured, site: Site<any>): SiteCapture {
  const { only, name } = partsOf(site);
  const heads = headsOf(name);
  const rowsKept = pick(only.t ?? only.q, c.rows, run.tokens.length, "t", site);
  const headLabels = c.heads ?? Int32Array.from({ length: heads ? run.facts[heads] : 0 }, (_, i) => i);
  const headsKept = heads ? pick(only.head, headLabels, run.facts[heads], "head", site) : null;
  const withExpert = expertRows(c, run, site, rowsKept);
  if (!withExpert && !headsKept) return c;
  return gather(c, withExpert, headsKept, headLabels);
}

/** Places along an axis whose labels are wanted; null: all. */
function pick(match: Rows | undefined, labels: Int32Array, end: number, key: string, site: Site<any>): number[] | null {
  if (match === undefined || match === "*") return null;
  const test = matcher(match, key, site.toString(), end);
  const kept: number[] = [];
  labels.forEach((label, i) => {
    if (test(label)) kept.push(i);
  });
  for (const n of typeof match === "number" ? [match] : Array.isArray(match) ? match : []) {
    const wanted = n < 0 ? end + n : n;
    if (!labels.includes(wanted))
      throw new CaptureError({
        where: site.toString(),
        what: `${key} ${n} was not captured`,
        fix: "Capture it too, or leave it out of only()",
      });
  }
  return kept.length === labels.length ? null : kept;
}

function expertRows(c: SiteCapture, run: Captured, site: Site<any>, rows: number[] | null): number[] | null {
  const { only, name } = partsOf(site);
  if (only.expert === undefined || only.expert === "*" || !name.startsWith("expert.")) return rows;
  const choice = run.captures.get(captureKey("router.choice", c.layer));
  if (!choice)
    throw new CaptureError({
      where: site.toString(),
      what: "the choice of experts was not captured",
      fix: 'Add "routing" to the capture',
    });
  const test = matcher(only.expert, "expert", site.toString());
  const k = run.facts.topk;
  const chosen = new Set<number>();
  choice.rows.forEach((t, i) => {
    for (let s = 0; s < k; s++) if (test(choice.data[i * k + s])) chosen.add(t);
  });
  const kept = (rows ?? Array.from(c.rows, (_, i) => i)).filter((i) => chosen.has(c.rows[i]));
  return kept.length === c.rows.length ? null : kept;
}

function gather(c: SiteCapture, rows: number[] | null, heads: number[] | null, headLabels: Int32Array): SiteCapture {
  const axes = c.axes.split(" ");
  const shape = [...c.shape];
  const picks = axes.map((axis, i): number[] => {
    const kept = axis === "t" || axis === "q" ? rows : axis === "head" ? heads : null;
    return kept ?? Array.from({ length: shape[i] }, (_, j) => j);
  });
  const newShape = picks.map((p) => p.length);
  const out = new Float32Array(newShape.reduce((a, b) => a * b, 1));
  // Axes after the last narrowed one are copied as blocks.
  const lastCut = axes.reduce(
    (at, axis, i) => (((axis === "t" || axis === "q") && rows) || (axis === "head" && heads) ? i : at),
    0,
  );
  const block = shape.slice(lastCut + 1).reduce((a, b) => a * b, 1);
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
  let to = 0;
  const walk = (axis: number, from: number): void => {
    for (const place of picks[axis]) {
      const at = from + place * strides[axis];
      if (axis < lastCut) walk(axis + 1, at);
      else {
        out.set(c.data.subarray(at, at + block), to);
        to += block;
      }
    }
  };
  walk(0, 0);
  return {
    ...c,
    shape: newShape,
    data: out,
    rows: rows ? Int32Array.from(rows, (i) => c.rows[i]) : c.rows,
    heads: heads ? Int32Array.from(heads, (i) => headLabels[i]) : c.heads,
  };
}

const labelsOf = (c: SiteCapture): Record<string, ArrayLike<number> | undefined> => ({
  ...(c.axes.includes("q k") ? { q: c.rows } : { t: c.rows }),
  ...(c.heads ? { head: c.heads } : {}),
});

const ownLabels = (
  axes: string,
  labels: Record<string, ArrayLike<number> | undefined>,
): Record<string, ArrayLike<number> | undefined> =>
  Object.fromEntries(Object.entries(labels).filter(([axis]) => axes.split(" ").includes(axis)));

const tensorOf = <A extends string>(axes: A, c: SiteCapture): Tensor<A> =>
  makeTensor(axes, c.shape, c.data, { labels: ownLabels(axes, labelsOf(c)) });

function stack<A extends string>(
  site: Site<A>,
  layers: readonly number[],
  captures: readonly SiteCapture[],
): Tensor<A> {
  const [first] = captures;
  const odd = captures.find((c) => c.data.length !== first.data.length || c.rows.some((t, i) => t !== first.rows[i]));
  if (odd)
    throw new CaptureError({
      where: site.path,
      what: `layers ${first.layer} and ${odd.layer} hold different rows`,
      fix: "Read them one by one with at.layer",
    });
  const size = first.data.length;
  const data = new Float32Array(size * captures.length);
  captures.forEach((c, i) => {
    data.set(c.data, i * size);
  });
  return makeTensor(site.axes, [captures.length, ...first.shape], data, {
    labels: ownLabels(site.axes, { layer: layers, ...labelsOf(first) }),
  });
}
