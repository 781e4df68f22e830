import { ArgumentError, CaptureError, SiteError } from "../errors.ts";
import type { NativeEdit } from "../native.ts";
import { type Captured, captureKey, type LayerFacts, type ModelFacts } from "../run/captured.ts";
import { headsOf, layerHas, SITES, type SiteName } from "../sites/names.ts";
import { layersOf, places } from "../sites/selector.ts";
import { capturedOf, Edit, type EditData, type RunSource } from "./edit.ts";
import { type PromptRows, promptTest, rowFilter } from "./rows.ts";

/**
 * Checks edits against the model and the prompt and turns them into what the engine reads.
 *
 * Errors: `SiteError` for a layer, expert or head that is not there; `CaptureError` when a source run lacks what is to be taken from it.
 */
export function compileEdits(edits: readonly Edit[], facts: ModelFacts, prompt: PromptRows): NativeEdit[] {
  return edits.flatMap((edit) => compile(edit, Edit.data(edit), facts, prompt));
}

/** Rows and layers whose choice a routing edit may have changed. */
export function forcedBy(
  edits: readonly Edit[],
  facts: ModelFacts,
  rows: PromptRows,
  steps: Int32Array,
): (t: number, layer: number) => boolean {
  const tests = edits
    .filter((e) => e.op.startsWith("route."))
    .map((e) => {
      const layers = new Set(
        layersOf(e.filter.layer, facts.layers, e.op)
          .filter((l) => l.moe)
          .map((l) => l.index),
      );
      const { step, ...rest } = e.filter;
      const row = promptTest(rest, rows, e.op);
      const named =
        step === undefined || step === "*" ? null : new Set(places(step, Math.max(0, ...steps) + 1, "step", e.op));
      return (t: number, layer: number) => layers.has(layer) && row(t) && (!named || named.has(steps[t]));
    });
  return (t, layer) => tests.some((test) => test(t, layer));
}

function compile(edit: Edit, d: EditData, facts: ModelFacts, prompt: PromptRows): NativeEdit[] {
  const rows = rowFilter(edit.filter, prompt, d.op);
  switch (d.op) {
    case "route.ban":
      for (const e of d.experts) checkExpert(e, facts, d.op);
      if (facts.experts - d.experts.length < facts.topk)
        throw new ArgumentError({
          where: d.op,
          what: `with ${d.experts.length} of ${facts.experts} experts banned, ${facts.topk} cannot be chosen`,
          fix: "Leave at least as many as a token chooses",
        });
      return [{ op: d.op, rows, layers: moeLayers(edit, facts), experts: Int32Array.from(d.experts) }];
    case "route.force": {
      checkExpert(d.expert, facts, d.op);
      const score = typeof d.score === "number" ? "constant" : d.score;
      return [
        {
          op: d.op,
          rows,
          layers: moeLayers(edit, facts),
          expert: d.expert,
          score,
          value: typeof d.score === "number" ? d.score : 0,
        },
      ];
    }
    case "route.bias":
      checkExpert(d.expert, facts, d.op);
      return [{ op: d.op, rows, layers: moeLayers(edit, facts), expert: d.expert, delta: d.delta }];
    case "route.replay":
      return [{ op: d.op, rows, layers: moeLayers(edit, facts), ...replay(source(d.from, d.op), edit, facts) }];
    case "attn.temperature": {
      const layers = mask(
        facts,
        layersOf(edit.filter.layer, facts.layers, d.op),
        (l) => !l.rope,
        edit,
        "has RoPE and no temperature",
      );
      if (d.law === "off") return [{ op: d.op, rows, layers, law: "off", floor: 1, scale: 0 }];
      const floor = d.law.floor ?? facts.floorScale;
      const scale = d.law.scale ?? facts.attnScale;
      return [{ op: d.op, rows, layers, law: "floor", floor, scale }];
    }
    default:
      return compileSite(edit, d, facts, prompt);
  }
}

type SiteData = Extract<EditData, { site: string }>;

function compileSite(edit: Edit, d: SiteData, facts: ModelFacts, prompt: PromptRows): NativeEdit[] {
  const name = d.site as SiteName;
  const rows = rowFilter(edit.filter, prompt, d.site);
  const perLayer = SITES[name].layers !== "none";
  const layers = perLayer
    ? mask(facts, layersOf(edit.filter.layer, facts.layers, d.site), (l) => layerHas(name, l), edit, `has no ${name}`)
    : new Uint8Array(facts.layers.length);
  const heads =
    edit.filter.head === undefined || edit.filter.head === "*"
      ? null
      : Int32Array.from(places(edit.filter.head, facts[headsOf(name) ?? "heads"], "head", d.site));
  const base = { site: name, rows, layers, heads, values: null, patchRows: null };
  switch (d.op) {
    case "site.zero":
      return [{ ...base, op: d.op, amount: 0 }];
    case "site.scale":
      return [{ ...base, op: d.op, amount: d.by }];
    case "site.add":
      return [{ ...base, op: d.op, amount: d.amount, values: vectorFor(name, d.vector, facts) }];
    case "site.patch": {
      const indices = perLayer ? [...layers.keys()].filter((l) => layers[l]) : [-1];
      return indices.map((layer) => {
        const only = new Uint8Array(facts.layers.length);
        if (layer >= 0) only[layer] = 1;
        return {
          ...base,
          op: d.op,
          amount: 0,
          rows: {},
          layers: only,
          ...patch(source(d.from, d.site), name, layer, heads, edit, facts, prompt),
        };
      });
    }
  }
}

function source(from: RunSource | null, where: string): Captured {
  if (from) return capturedOf(from);
  throw new ArgumentError({
    where,
    what: "this edit was read from a trace, which does not store the run that it took its values from",
    fix: "Make the edit again from that run",
  });
}

function checkExpert(e: number, facts: ModelFacts, where: string): void {
  if (e < facts.experts) return;
  throw new SiteError({
    where,
    what: `there is no expert ${e}`,
    fix: facts.experts ? `The model has experts 0 to ${facts.experts - 1}` : "The model has no MoE layer",
  });
}

const moeLayers = (edit: Edit, facts: ModelFacts): Uint8Array =>
  mask(facts, layersOf(edit.filter.layer, facts.layers, edit.op), (l) => l.moe, edit, "is dense and routes nothing");

/** One byte a layer. A layer named by number must qualify; groups are narrowed to those that do. */
function mask(
  facts: ModelFacts,
  chosen: readonly LayerFacts[],
  fits: (l: LayerFacts) => boolean,
  edit: Edit,
  why: string,
): Uint8Array {
  const named = typeof edit.filter.layer === "number" || Array.isArray(edit.filter.layer);
  const out = new Uint8Array(facts.layers.length);
  for (const layer of chosen) {
    if (fits(layer)) out[layer.index] = 1;
    else if (named) {
      const fitting = facts.layers.filter(fits).map((l) => l.index);
      throw new SiteError({
        where: edit.op,
        what: `layer ${layer.index} ${why}`,
        fix: fitting.length ? `Layers that qualify: ${fitting.join(", ")}` : "No layer of this model qualifies",
      });
    }
  }
  return out;
}

function vectorFor(name: SiteName, vector: Float32Array | null, facts: ModelFacts): Float32Array {
  if (!vector)
    throw new ArgumentError({
      where: `${name}.add`,
      what: "the vector was not stored with the trace",
      fix: "Make the edit again",
    });
  const width = SITES[name].width(facts);
  if (vector.length === width) return vector;
  // One head's vector, for every head that the filter names.
  if (headsOf(name) && vector.length === facts.headDim)
    return Float32Array.from({ length: width }, (_, i) => vector[i % facts.headDim]);
  throw new ArgumentError({
    where: `${name}.add`,
    what: `the vector has ${vector.length} numbers, the site ${width}`,
    fix: 'Reduce it to one row, for example with mean("t")',
  });
}

function replay(from: Captured, edit: Edit, facts: ModelFacts): { choice: Int32Array; rowsRecorded: number } {
  const recorded = from.tokens.length;
  const { topk, layers } = facts;
  if (from.facts.experts !== facts.experts || from.facts.layers.length !== layers.length || from.facts.topk !== topk)
    throw new ArgumentError({
      where: "route.replay",
      what: "the run comes from a model with other layers or experts",
      fix: "Replay a run of the same architecture",
    });
  const choice = new Int32Array(recorded * layers.length * topk).fill(-1);
  for (const layer of layersOf(edit.filter.layer, layers, edit.op)) {
    if (!layer.moe) continue;
    const capture = from.captures.get(captureKey("router.choice", layer.index));
    if (!capture)
      throw new CaptureError({
        where: "route.replay",
        what: `the run did not capture layers.${layer.index}.router.choice`,
        fix: 'Run it with { capture: "routing" }',
      });
    capture.rows.forEach((t, i) => {
      for (let k = 0; k < topk; k++) choice[(t * layers.length + layer.index) * topk + k] = capture.data[i * topk + k];
    });
  }
  return { choice, rowsRecorded: recorded };
}

/** Rows of the prompt that match, with what the source had at the same place of its sequence. */
function patch(
  from: Captured,
  name: SiteName,
  layer: number,
  heads: Int32Array | null,
  edit: Edit,
  facts: ModelFacts,
  prompt: PromptRows,
): { values: Float32Array; patchRows: Int32Array } {
  const key = captureKey(name, layer);
  const capture = from.captures.get(key);
  if (!capture)
    throw new CaptureError({
      where: `${key}.patch`,
      what: "the source run did not capture this site",
      fix: `Run it with { capture: "${key}" }`,
    });
  const width = SITES[name].width(facts);
  const missing =
    capture.heads &&
    [...(heads ?? Array.from({ length: facts[headsOf(name) ?? "heads"] }, (_, h) => h))].find(
      (h) => !capture.heads!.includes(h),
    );
  if (missing !== undefined && missing !== null)
    throw new CaptureError({
      where: `${key}.patch`,
      what: `the source run did not capture head ${missing}`,
      fix: `Run it with { capture: "${key}" }`,
    });
  const stored = capture.shape.slice(1).reduce((a, b) => a * b, 1);
  if (!capture.heads && stored !== width)
    throw new ArgumentError({
      where: `${key}.patch`,
      what: `the source has ${stored} numbers a row, this model ${width}`,
      fix: "Patch from a run of the same model",
    });

  const at = new Map<string, number>();
  capture.rows.forEach((t, i) => {
    at.set(`${from.sequences === 1 ? 0 : from.tokens.seq[t]} ${from.tokens.pos[t]}`, i);
  });
  const test = promptTest(edit.filter, prompt, key);
  const rows: number[] = [];
  const places: number[] = [];
  for (let t = 0; t < prompt.ids.length; t++) {
    if (!test(t)) continue;
    const place = at.get(`${from.sequences === 1 ? 0 : prompt.seq[t]} ${prompt.pos[t]}`);
    if (place === undefined) continue;
    rows.push(t);
    places.push(place);
  }
  if (rows.length === 0)
    throw new ArgumentError({
      where: `${key}.patch`,
      what: "no row of this run that the filter names was captured in the source run",
      fix: `The source has ${from.tokens.length} tokens; check pos and the capture's only()`,
    });
  const values = new Float32Array(rows.length * width);
  places.forEach((place, i) => {
    const row = capture.data.subarray(place * stored, (place + 1) * stored);
    if (!capture.heads) values.set(row, i * width);
    else
      capture.heads.forEach((h, j) => {
        values.set(row.subarray(j * facts.headDim, (j + 1) * facts.headDim), i * width + h * facts.headDim);
      });
  });
  return { values, patchRows: Int32Array.from(rows) };
}
