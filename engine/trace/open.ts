import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Table, tableFromIPC } from "apache-arrow";
import { Edit } from "../edits/edit.ts";
import { TraceError } from "../errors.ts";
import { type Captured, captureKey, type SiteCapture, type TokenKind, type TokenRows } from "../run/captured.ts";
import { isSiteName, SITES } from "../sites/names.ts";
import { showBytes } from "../text/bytes.ts";
import { type Manifest, manifestSchema } from "./format.ts";

/**
 * Reads a saved run. No engine is needed.
 *
 * Errors: `TraceError` naming the file that is missing, cut or does not fit the others.
 */
export async function openTrace(path: string): Promise<Captured> {
  const folder = resolve(path);
  try {
    return await read(folder);
  } catch (e) {
    if (e instanceof TraceError) throw e;
    throw new TraceError({
      where: folder,
      what: `its files do not fit together (${(e as Error).message})`,
      fix: "Save the run again",
      cause: e,
    });
  }
}

async function read(folder: string): Promise<Captured> {
  const m = await readManifest(folder);
  const tokens = await readTokens(folder, m);
  const vocab = await readVocab(folder, m);
  const forced = await readForced(folder);
  const captures = new Map<string, SiteCapture>();
  for (const site of m.sites)
    for (const c of await readSite(folder, site)) captures.set(captureKey(c.site, c.layer), c);
  const last = lists(await readArrow(folder, "last.arrow"), "logits");
  expect(
    last.length === m.sequences * m.facts.vocab,
    folder,
    "last.arrow",
    "it does not hold one row of logits a sequence",
  );
  return {
    facts: m.facts,
    tokens,
    sequences: m.sequences,
    captures,
    last,
    tokenText: (id) => showBytes(vocab(id)),
    tokenBytes: vocab,
    edits: m.edits.map((e) => Edit.fromJSON(e)),
    forced: (t, layer) => forced.has(t * m.facts.layers.length + layer),
    meta: m.meta,
  };

  async function readForced(at: string): Promise<Set<number>> {
    const table = await readArrow(at, "forced.arrow");
    const [t, layer] = [ints(table, "t"), ints(table, "layer")];
    return new Set(Array.from(t, (row, i) => row * m.facts.layers.length + layer[i]));
  }
}

async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, "manifest.json");
  if (!existsSync(path))
    throw new TraceError({
      where: folder,
      what: existsSync(folder) ? "there is no manifest.json" : "there is no such folder",
      fix: "Give the folder that r.save made",
    });
  let raw: unknown;
  try {
    raw = JSON.parse(await readFile(path, "utf8"));
  } catch (e) {
    throw new TraceError({
      where: path,
      what: `this is not JSON (${(e as Error).message.slice(0, 100)})`,
      fix: "Save the run again",
    });
  }
  const result = manifestSchema.safeParse(raw);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new TraceError({
    where: `${path}, "${issue.path.map(String).join(".")}"`,
    what: issue.message,
    fix: "It may come from another version; save the run again",
  });
}

function expect(ok: boolean, folder: string, file: string, what: string): asserts ok {
  if (!ok) throw new TraceError({ where: join(folder, file), what, fix: "Save the run again" });
}

async function readArrow(folder: string, file: string): Promise<Table> {
  const path = join(folder, file);
  expect(existsSync(path), folder, file, "the file is missing");
  try {
    const table = tableFromIPC(await readFile(path));
    if (table.schema.fields.length === 0) throw new Error("no columns");
    return table;
  } catch (e) {
    throw new TraceError({
      where: path,
      what: `this is not a whole Arrow file (${(e as Error).message.slice(0, 100)})`,
      fix: "Save the run again",
      cause: e,
    });
  }
}

function column(table: Table, name: string) {
  const vector = table.getChild(name);
  if (!vector)
    throw new TraceError({ where: "trace", what: `the column "${name}" is missing`, fix: "Save the run again" });
  return vector;
}

const ints = (table: Table, name: string): Int32Array => Int32Array.from(column(table, name).toArray());
const floats = (table: Table, name: string): Float32Array => Float32Array.from(column(table, name).toArray());
const texts = (table: Table, name: string): string[] => Array.from(column(table, name), String);

/** The numbers of a fixed-size list column, all batches one after the other. */
function lists(table: Table, name: string): Float32Array {
  const parts = batches(table, name);
  if (parts.length === 1) return parts[0];
  const out = new Float32Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

const batches = (table: Table, name: string): Float32Array[] =>
  column(table, name).data.map((d) => {
    const child = d.children[0];
    return (child.values as Float32Array).subarray(0, child.length);
  });

async function readTokens(folder: string, m: Manifest): Promise<TokenRows> {
  const table = await readArrow(folder, "tokens.arrow");
  expect(
    table.numRows === m.tokens,
    folder,
    "tokens.arrow",
    `it has ${table.numRows} rows, the manifest says ${m.tokens}`,
  );
  return {
    length: m.tokens,
    ids: ints(table, "id"),
    seq: ints(table, "seq"),
    pos: ints(table, "pos"),
    step: ints(table, "step"),
    text: texts(table, "text"),
    kind: texts(table, "kind") as TokenKind[],
    role: texts(table, "role"),
    group: m.groups,
    logprob: floats(table, "logprob"),
    predEntropy: floats(table, "pred_entropy"),
    rank: ints(table, "rank"),
  };
}

async function readVocab(folder: string, m: Manifest): Promise<(id: number) => Uint8Array> {
  const vector = column(await readArrow(folder, "vocab.arrow"), "bytes");
  expect(
    vector.length === m.facts.vocab,
    folder,
    "vocab.arrow",
    `it has ${vector.length} rows, the vocabulary ${m.facts.vocab}`,
  );
  return (id) => (vector.get(id) as Uint8Array | null) ?? new Uint8Array(0);
}

async function readSite(folder: string, o: Manifest["sites"][number]): Promise<SiteCapture[]> {
  const file = `sites/${o.site}.arrow`;
  expect(isSiteName(o.site), folder, "manifest.json", `"${o.site}" is not a site`);
  const { axes } = SITES[o.site];
  const pattern = o.site === "attn.pattern";
  const table = await readArrow(folder, file);
  const data = batches(table, "values");
  const rows = column(table, pattern ? "q" : "t").data.map((d) => (d.values as Int32Array).subarray(0, d.length));
  expect(data.length === o.layers.length, folder, file, `it has ${data.length} batches for ${o.layers.length} layers`);
  return o.layers.map(({ layer, shape, heads }, i) => {
    expect(
      shape.reduce((a, b) => a * b, 1) === data[i].length,
      folder,
      file,
      `layer ${layer} has ${data[i].length} numbers, its shape is [${shape.join(", ")}]`,
    );
    const count = pattern ? shape[1] : shape[0];
    return {
      site: o.site,
      layer,
      axes,
      shape,
      data: data[i],
      rows: Int32Array.from(rows[i].subarray(0, count)),
      heads: heads && Int32Array.from(heads),
    };
  });
}
