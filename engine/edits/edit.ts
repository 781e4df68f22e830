import { options, quoted } from "../check.ts";
import { shows } from "../display/show.ts";
import { ArgumentError, didYouMean } from "../errors.ts";
import type { Captured, RunMeta } from "../run/captured.ts";
import { describeMatch, type Filter } from "../sites/selector.ts";

/** How a forced expert's input is scaled: by its own sigmoid, by the score of the expert that it replaces, or by a number. */
export type ScoreRule = "own" | "original" | number;

/** A `Run`, as edits hold it. What it captured is read when the edit is used. */
export interface RunSource {
  readonly meta: RunMeta;
  readonly text: string;
  readonly edits: readonly Edit[];
}

/** @internal The data of a run that values are taken from. */
export function capturedOf(from: RunSource): Captured {
  const data = (from as Partial<{ readonly captured: Captured }> | null | undefined)?.captured;
  if (data) return data;
  throw new ArgumentError({
    where: "edit",
    what: "the source is not a run",
    fix: "Give what m.run returned (is an await missing?)",
  });
}

/** What an edit does. Values that other runs made are held, not copied. */
export type EditData =
  | { readonly op: "route.ban"; readonly experts: readonly number[] }
  | { readonly op: "route.force"; readonly expert: number; readonly score: ScoreRule }
  | { readonly op: "route.bias"; readonly expert: number; readonly delta: number }
  | { readonly op: "route.replay"; readonly from: RunSource | null }
  | {
      readonly op: "attn.temperature" /** null: as in the model. */;
      readonly law: "off" | { readonly floor: number | null; readonly scale: number | null };
    }
  | { readonly op: "site.zero"; readonly site: string }
  | { readonly op: "site.scale"; readonly site: string; readonly by: number }
  | { readonly op: "site.add"; readonly site: string; readonly vector: Float32Array | null; readonly amount: number }
  | { readonly op: "site.patch"; readonly site: string; readonly from: RunSource | null };

export type EditOp = EditData["op"];

const OPS: readonly EditOp[] = [
  "route.ban",
  "route.force",
  "route.bias",
  "route.replay",
  "attn.temperature",
  "site.zero",
  "site.scale",
  "site.add",
  "site.patch",
];
const FILTER_KEYS: readonly (keyof Filter)[] = ["layer", "head", "t", "pos", "step", "id", "text"];

/**
 * One change to the forward pass: immutable data that prints as a sentence. `m.with(edit)` is the model with it.
 *
 * ```ts
 * String(route.ban(7, { layer: 3 }))   // "layer 3: expert 7 is banned, the next best takes over"
 * ```
 */
export class Edit {
  readonly op: EditOp;
  readonly filter: Filter;
  readonly #data: EditData;

  /** @internal */
  constructor(data: EditData, filter: Filter, keys: readonly (keyof Filter)[]) {
    for (const key of Object.keys(options(filter, data.op))) {
      if ((keys as readonly string[]).includes(key)) continue;
      const known = (FILTER_KEYS as readonly string[]).includes(key);
      throw new ArgumentError({
        where: data.op,
        what: known ? `a filter by ${key} means nothing here` : `there is no filter "${key}"${didYouMean(key, keys)}`,
        fix: `It takes ${keys.join(", ")}`,
      });
    }
    this.op = data.op;
    this.filter = Object.freeze({ ...filter });
    this.#data = Object.freeze(data);
    Object.freeze(this);
  }

  toString(): string {
    return sentence(this.#data, this.filter);
  }

  /** As stored in traces. Values taken from another run are named, not stored. */
  toJSON(): object {
    const filter = Object.keys(this.filter).length ? { filter: this.filter } : {};
    const d = this.#data;
    switch (d.op) {
      case "route.replay":
        return { op: d.op, from: describeSource(d.from), ...filter };
      case "site.patch":
        return { op: d.op, site: d.site, from: describeSource(d.from), ...filter };
      case "site.add":
        return { op: d.op, site: d.site, amount: d.amount, vector: d.vector && Array.from(d.vector), ...filter };
      default:
        return { ...d, ...filter };
    }
  }

  /** @internal An edit as `toJSON` wrote it. Replays and patches come back without their source and can only be shown. */
  static fromJSON(json: unknown): Edit {
    const { filter = {}, ...data } = json as { op: EditOp; filter?: Filter; vector?: number[] | null };
    if (!OPS.includes(data.op))
      throw new ArgumentError({
        where: "edit",
        what: `there is no edit "${String(data.op)}"`,
        fix: `There are ${OPS.join(", ")}`,
      });
    if (data.op === "route.replay" || data.op === "site.patch")
      return new Edit({ ...data, from: null } as EditData, filter, FILTER_KEYS);
    if (data.op === "site.add")
      return new Edit(
        { ...data, vector: data.vector ? Float32Array.from(data.vector) : null } as EditData,
        filter,
        FILTER_KEYS,
      );
    return new Edit(data as EditData, filter, FILTER_KEYS);
  }

  /** @internal */
  static data(edit: Edit): EditData {
    return edit.#data;
  }

  static {
    shows(Edit, { text: (e) => e.toString() });
  }
}

const describeSource = (from: RunSource | null): object | null => {
  if (!from) return null;
  const { meta, tokens } = capturedOf(from);
  return { model: meta.model, tokens: tokens.length, text: tokens.text.slice(0, 24).join("") };
};

function sentence(d: EditData, filter: Filter): string {
  const where = describeFilter(filter);
  switch (d.op) {
    case "route.ban":
      return `${where}: ${experts(d.experts)} banned, the next best takes over`;
    case "route.force": {
      const score = { own: "scored by its own logit", original: "with the score of the expert that it replaces" };
      return `${where}: expert ${d.expert} is forced, ${typeof d.score === "number" ? `with the score ${d.score}` : score[d.score]}`;
    }
    case "route.bias":
      return `${where}: ${d.delta >= 0 ? "+" : "−"}${Math.abs(d.delta)} on the logit of expert ${d.expert} when experts are chosen`;
    case "route.replay":
      return `${where}: experts are chosen as in another run${d.from ? ` (${capturedOf(d.from).tokens.length} tokens)` : ""}`;
    case "attn.temperature":
      return d.law === "off"
        ? `${where}: attention temperature off`
        : `${where}: attention temperature 1 + ${d.law.scale ?? "attn_scale"}·ln(⌊(pos + 1) / ${d.law.floor ?? "floor_scale"}⌋ + 1)`;
    case "site.zero":
      return `${where}: ${d.site} is zero`;
    case "site.scale":
      return `${where}: ${d.site} times ${d.by}`;
    case "site.add":
      return `${where}: ${d.amount} times a vector is added to ${d.site}`;
    case "site.patch":
      return `${where}: ${d.site} as in another run`;
  }
}

const experts = (list: readonly number[]): string =>
  list.length === 1 ? `expert ${list[0]} is` : `experts ${list.join(", ")} are`;

function describeFilter(filter: Filter): string {
  const { layer, ...rest } = filter;
  const kind =
    typeof layer === "string" && layer !== "*"
      ? `${layer} layers`
      : typeof layer === "number"
        ? `layer ${layer}`
        : null;
  const parts = [kind ?? (layer === undefined || layer === "*" ? "all layers" : `layers ${describeMatch(layer)}`)];
  for (const [key, match] of Object.entries(rest))
    parts.push(
      key === "text" ? `tokens ${[match].flat().map(quoted).join(", ")}` : `${key} ${describeMatch(match as number)}`,
    );
  return parts.join(", ");
}
