import { quoted } from "../check.ts";
import { ArgumentError } from "../errors.ts";
import { headsOf } from "../sites/names.ts";
import type { Filter, Layers } from "../sites/selector.ts";
import type { EditableSite } from "../sites/site.ts";
import { partsOf } from "../sites/site.ts";
import type { Tensor } from "../tensors/tensor.ts";
import { capturedOf, Edit, type EditData, type RunSource } from "./edit.ts";

type What =
  | { op: "zero" }
  | { op: "scale"; by: number }
  | { op: "add"; vector: Tensor<any>; amount: number }
  | { op: "patch"; from: RunSource };

/** An edit of a site. The site's own layers and `only` become part of the filter. */
export function siteEdit(site: EditableSite<any>, what: What, filter: Filter): Edit {
  const { name, layer, only } = partsOf(site);
  const keys: (keyof Filter)[] = ["t", "pos", "step", "id", "text"];
  if (layer !== null) keys.push("layer");
  if (headsOf(name)) keys.push("head");
  if (only.expert !== undefined || only.q !== undefined)
    throw new ArgumentError({
      where: site.path,
      what: "an edit cannot be limited to an expert or a query",
      fix: "Use filters: { layer, t, pos, step, id, text }",
    });
  const { q: _q, expert: _expert, layer: _layer, ...rest } = only;
  const merged: Filter = { ...(layer === null ? {} : { layer: layer as Layers }), ...rest, ...filter };
  return new Edit(dataOf(name, what), merged, keys);
}

function dataOf(site: string, what: What): EditData {
  switch (what.op) {
    case "zero":
      return { op: "site.zero", site };
    case "scale":
      if (!Number.isFinite(what.by))
        throw new ArgumentError({
          where: `${site}.scale`,
          what: `${quoted(what.by)} is not a number`,
          fix: "Use zero() for nothing",
        });
      return { op: "site.scale", site, by: what.by };
    case "add":
      if (!Number.isFinite(what.amount))
        throw new ArgumentError({
          where: `${site}.add`,
          what: `${quoted(what.amount)} is not an amount`,
          fix: "Give a number",
        });
      // By its numbers: the class of tensors draws, plots know runs, and runs know edits.
      if (!((what.vector as Tensor<any> | null)?.data instanceof Float32Array))
        throw new ArgumentError({
          where: `${site}.add`,
          what: `${quoted(what.vector)} is not a vector`,
          fix: "Give a tensor: r.get(site).at({ t: -1 }), or Tensor.from",
        });
      // A copy: the edit must not change when the tensor is disposed.
      return { op: "site.add", site, vector: what.vector.data.slice(), amount: what.amount };
    case "patch":
      capturedOf(what.from);
      return { op: "site.patch", site, from: what.from };
  }
}
