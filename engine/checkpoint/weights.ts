import { CheckpointError, didYouMean } from "../errors.ts";
import type { SourceDtype, WeightSource } from "../native.ts";
import type { Config } from "./config.ts";
import type { Header, TensorEntry } from "./safetensors.ts";

/** Weights of the text part as the engine takes them, and what else the files hold. */
export interface WeightList {
  readonly files: string[];
  readonly weights: WeightSource[];
  /** Sentences for the reader: what was left out, and why. */
  readonly notes: string[];
}

interface Found {
  readonly file: number;
  readonly path: string;
  readonly entry: TensorEntry;
}

const DTYPE_BYTES: Readonly<Record<SourceDtype, number>> = { BF16: 2, F16: 2, F32: 4 };
/** Names are stored with one of these before them; a text-only save has none. */
const PREFIXES = ["language_model.", "model.language_model.", ""];
const VISION = ["vision_model.", "multi_modal_projector.", "model.vision_model.", "model.multi_modal_projector."];
/** Buffers that some writers store and nobody needs. */
const IGNORED = /\.rotary_emb\.inv_freq$/;

/**
 * Finds every tensor that the config calls for (spec section 5.1), checks its dtype and shape, and says where each matrix lies.
 *
 * Errors: `CheckpointError` naming the tensor: missing, extra, of another shape, or in a format that is not read.
 */
export function collectWeights(config: Config, headers: readonly Header[], folder: string): WeightList {
  const all = new Map<string, Found>();
  headers.forEach((header, file) => {
    for (const entry of header.tensors.values()) {
      const other = all.get(entry.name);
      if (other)
        throw new CheckpointError({
          where: folder,
          what: `the tensor "${entry.name}" is in two files, ${other.path} and ${header.path}`,
          fix: "Remove the stale shard, or download the folder again",
        });
      all.set(entry.name, { file, path: header.path, entry });
    }
  });
  const notes = setVisionAside(all);
  const reader = new Reader(config, all, folder);
  const weights = reader.read();
  reader.refuseOthers();
  return { files: headers.map((h) => h.path), weights, notes };
}

function setVisionAside(all: Map<string, Found>): string[] {
  let tensors = 0;
  let bytes = 0;
  for (const [name, found] of all) {
    if (!VISION.some((p) => name.startsWith(p))) continue;
    tensors++;
    bytes += found.entry.bytes;
    all.delete(name);
  }
  if (tensors === 0) return [];
  return [`The vision part (${tensors} tensors, ${(bytes / 1e6).toFixed(1)} MB) is not loaded: this model takes text.`];
}

class Reader {
  readonly #config: Config;
  readonly #all: Map<string, Found>;
  readonly #folder: string;
  readonly #prefix: string;
  readonly #out: WeightSource[] = [];
  readonly #used = new Set<string>();
  readonly #missing: { name: string; shape: readonly number[] }[] = [];

  constructor(config: Config, all: Map<string, Found>, folder: string) {
    this.#config = config;
    this.#all = all;
    this.#folder = folder;
    this.#prefix =
      PREFIXES.find((p) => all.has(`${p}model.embed_tokens.weight`) || all.has(`${p}embed_tokens.weight`)) ?? "";
  }

  read(): WeightSource[] {
    const c = this.#config;
    this.#matrix("embed", "model.embed_tokens.weight", c.vocab, c.d);
    for (const layer of c.layerFacts) {
      const from = `model.layers.${layer.index}`;
      const to = `layers.${layer.index}`;
      this.#vector(`${to}.norm.attn`, `${from}.input_layernorm.weight`);
      this.#matrix(`${to}.attn.q`, `${from}.self_attn.q_proj.weight`, c.heads * c.headDim, c.d);
      this.#matrix(`${to}.attn.k`, `${from}.self_attn.k_proj.weight`, c.kvHeads * c.headDim, c.d);
      this.#matrix(`${to}.attn.v`, `${from}.self_attn.v_proj.weight`, c.kvHeads * c.headDim, c.d);
      this.#matrix(`${to}.attn.o`, `${from}.self_attn.o_proj.weight`, c.d, c.heads * c.headDim);
      this.#vector(`${to}.norm.ffn`, `${from}.post_attention_layernorm.weight`);
      if (layer.moe) this.#moe(`${to}`, `${from}.feed_forward`);
      else this.#ffn(`${to}.mlp`, `${from}.feed_forward`, c.ffDense);
    }
    this.#vector("final.norm", "model.norm.weight");
    if (!c.tied) this.#matrix("unembed", "lm_head.weight", c.vocab, c.d);
    else this.#used.add(this.#resolve("lm_head.weight"));
    return this.#out;
  }

  /** Names must be those that the config calls for, neither fewer nor more. */
  refuseOthers(): void {
    const extra = [...this.#all.keys()].filter((n) => !this.#used.has(n) && !IGNORED.test(n));
    const fix = "Check that config.json and the weights belong together, and that no shard is missing";
    const [gone] = this.#missing;
    if (gone) {
      const many =
        this.#missing.length > 1
          ? `${this.#missing.length} tensors are missing, the first is `
          : "a tensor is missing: ";
      const what = `${many}"${gone.name}" ([${gone.shape.join(", ")}])${didYouMean(gone.name, extra.slice(0, 4096))}`;
      throw new CheckpointError({ where: this.#folder, what, fix });
    }
    if (extra.length === 0) return;
    const shape = this.#all.get(extra[0])!.entry.shape.join(", ");
    const what = `${extra.length} tensors are not part of the model that config.json describes, the first is "${extra[0]}" ([${shape}])`;
    throw new CheckpointError({ where: this.#folder, what, fix });
  }

  #moe(to: string, from: string): void {
    const { experts, d, ff } = this.#config;
    this.#matrix(`${to}.router`, `${from}.router.weight`, experts, d);
    this.#ffn(`${to}.shared`, `${from}.shared_expert`, ff);
    if (
      this.#all.has(this.#resolve(`${from}.experts.gate_up_proj`)) ||
      !this.#all.has(this.#resolve(`${from}.experts.0.gate_proj.weight`))
    )
      this.#fused(to, `${from}.experts`);
    else for (let e = 0; e < experts; e++) this.#ffn(`${to}.expert.${e}`, `${from}.experts.${e}`, ff);
  }

  #ffn(to: string, from: string, width: number): void {
    const { d } = this.#config;
    this.#matrix(`${to}.gate`, `${from}.gate_proj.weight`, width, d);
    this.#matrix(`${to}.up`, `${from}.up_proj.weight`, width, d);
    this.#matrix(`${to}.down`, `${from}.down_proj.weight`, d, width);
  }

  /** Fused experts are `[expert, in, out]`, transposed relative to every other matrix; the last axis of gate_up is gate, then up. */
  #fused(to: string, from: string): void {
    const { experts, d, ff } = this.#config;
    const gateUp = this.#take(`${from}.gate_up_proj`, [experts, d, 2 * ff]);
    const down = this.#take(`${from}.down_proj`, [experts, ff, d]);
    for (let e = 0; e < experts; e++) {
      const at = e * d * 2 * ff;
      this.#push(`${to}.expert.${e}.gate`, gateUp, at, ff, d, 1, 2 * ff);
      this.#push(`${to}.expert.${e}.up`, gateUp, at + ff, ff, d, 1, 2 * ff);
      this.#push(`${to}.expert.${e}.down`, down, e * ff * d, d, ff, 1, d);
    }
  }

  #matrix(slot: string, name: string, rows: number, cols: number): void {
    this.#push(slot, this.#take(name, [rows, cols]), 0, rows, cols, cols, 1);
  }

  #vector(slot: string, name: string): void {
    this.#push(slot, this.#take(name, [this.#config.d]), 0, 1, this.#config.d, this.#config.d, 1);
  }

  #push(
    slot: string,
    from: Found | null,
    element: number,
    rows: number,
    cols: number,
    rowStride: number,
    colStride: number,
  ): void {
    if (!from) return;
    const dtype = from.entry.dtype as SourceDtype;
    this.#out.push({
      slot,
      file: from.file,
      offset: from.entry.offset + element * DTYPE_BYTES[dtype],
      dtype,
      rows,
      cols,
      rowStride,
      colStride,
    });
  }

  #take(wanted: string, shape: readonly number[]): Found | null {
    const name = this.#resolve(wanted);
    const found = this.#all.get(name);
    if (!found) {
      this.#missing.push({ name, shape });
      // Enough to know that these are not the weights; a config may call for millions.
      if (this.#missing.length === 100) this.refuseOthers();
      return null;
    }
    const { entry, path } = found;
    if (!Object.hasOwn(DTYPE_BYTES, entry.dtype))
      throw new CheckpointError({
        where: `${path}, tensor "${name}"`,
        what: `the dtype ${entry.dtype} is not read`,
        fix: "Use a checkpoint in BF16, F16 or F32; quantised ones cannot be loaded yet",
      });
    if (entry.shape.length !== shape.length || entry.shape.some((n, i) => n !== shape[i]))
      throw new CheckpointError({
        where: `${path}, tensor "${name}"`,
        what: `its shape is [${entry.shape.join(", ")}], but config.json calls for [${shape.join(", ")}]`,
        fix: "Check that config.json and the weights belong together",
      });
    this.#used.add(name);
    return found;
  }

  #resolve(name: string): string {
    const direct = this.#prefix + name;
    if (this.#all.has(direct)) return direct;
    // Writers differ in whether the prefix stands before or instead of "model.".
    for (const other of [name, this.#prefix + name.replace(/^model\./, "")]) if (this.#all.has(other)) return other;
    return direct;
  }
}
