import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { unwritable } from "../check.ts";
import { TraceError } from "../errors.ts";
import type { Captured, SiteCapture } from "../run/captured.ts";
import { arrowFile, type Column } from "./arrow.ts";
import { FORMAT, type Manifest, VERSION } from "./format.ts";

/**
 * Writes a run to a folder. It is written beside and put in place when whole, so that a broken-off save leaves nothing half done; an
 * earlier trace of that name is replaced, anything else refused.
 */
export async function saveTrace(run: Captured, path: string): Promise<void> {
  const target = resolve(path);
  if (existsSync(target) && !(await isTrace(target)))
    throw new TraceError({
      where: target,
      what: "something that is not a trace is there already",
      fix: "Choose another name",
    });
  const draft = join(dirname(target), `.${process.pid}-${Math.random().toString(36).slice(2)}.trace`);
  try {
    await mkdir(join(draft, "sites"), { recursive: true });
    for (const [name, bytes] of files(run)) await writeFile(join(draft, name), bytes);
    await rm(target, { recursive: true, force: true });
    await rename(draft, target);
  } catch (e) {
    await rm(draft, { recursive: true, force: true }).catch(() => {});
    throw new TraceError(unwritable(target, e));
  }
}

async function isTrace(path: string): Promise<boolean> {
  try {
    return JSON.parse(await readFile(join(path, "manifest.json"), "utf8")).format === FORMAT;
  } catch {
    return false;
  }
}

function* files(run: Captured): Generator<[name: string, bytes: string | Uint8Array]> {
  const bySite = new Map<string, SiteCapture[]>();
  for (const c of run.captures.values()) bySite.set(c.site, [...(bySite.get(c.site) ?? []), c]);
  yield ["tokens.arrow", arrowFile([tokenColumns(run)])];
  yield ["last.arrow", arrowFile([{ logits: { width: run.facts.vocab, values: run.last } }])];
  yield ["vocab.arrow", arrowFile([{ bytes: Array.from({ length: run.facts.vocab }, (_, id) => run.tokenBytes(id)) }])];
  yield ["forced.arrow", arrowFile([forcedColumns(run)])];
  for (const [site, captures] of bySite) yield [`sites/${site}.arrow`, arrowFile(captures.map(siteColumns))];
  yield ["manifest.json", JSON.stringify(manifest(run, bySite), null, 1)];
}

function manifest(run: Captured, bySite: ReadonlyMap<string, readonly SiteCapture[]>): Manifest {
  return {
    format: FORMAT,
    version: VERSION,
    facts: { ...run.facts, layers: run.facts.layers.map((l) => ({ ...l })) },
    meta: { ...run.meta },
    tokens: run.tokens.length,
    sequences: run.sequences,
    groups: [...run.tokens.group],
    edits: run.edits.map((e) => e.toJSON()),
    sites: [...bySite].map(([site, captures]) => ({
      site,
      layers: captures.map((c) => ({ layer: c.layer, shape: [...c.shape], heads: c.heads && [...c.heads] })),
    })),
  };
}

function tokenColumns({ tokens: k }: Captured): Record<string, Column> {
  return {
    t: Int32Array.from({ length: k.length }, (_, t) => t),
    seq: k.seq,
    pos: k.pos,
    step: k.step,
    id: k.ids,
    text: k.text,
    kind: k.kind,
    role: k.role,
    logprob: k.logprob,
    pred_entropy: k.predEntropy,
    rank: k.rank,
  };
}

function forcedColumns(run: Captured): Record<string, Column> {
  const t: number[] = [];
  const layer: number[] = [];
  if (run.edits.length > 0)
    for (let row = 0; row < run.tokens.length; row++)
      for (const l of run.facts.layers)
        if (run.forced(row, l.index)) {
          t.push(row);
          layer.push(l.index);
        }
  return { t: Int32Array.from(t), layer: Int32Array.from(layer) };
}

/** A row a token, or for `attn.pattern` a head and query; what remains is the list. */
function siteColumns(c: SiteCapture): Record<string, Column> {
  const pattern = c.site === "attn.pattern";
  const [heads, rows] = pattern ? [c.shape[0], c.shape[1]] : [1, c.shape[0]];
  const width = c.shape.slice(pattern ? 2 : 1).reduce((a, b) => a * b, 1);
  const n = heads * rows;
  const columns: Record<string, Column> = { layer: new Int32Array(n).fill(c.layer) };
  if (pattern)
    columns.head = Int32Array.from({ length: n }, (_, i) => c.heads?.[Math.floor(i / rows)] ?? Math.floor(i / rows));
  columns[pattern ? "q" : "t"] = Int32Array.from({ length: n }, (_, i) => c.rows[i % rows]);
  columns.values = { width, values: c.data };
  return columns;
}
