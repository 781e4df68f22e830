import { z } from "zod";
import { quoted } from "../check.ts";
import { ArchitectureError, ConfigError, didYouMean } from "../errors.ts";
import type { LayerFacts } from "../run/captured.ts";
import type { Rope } from "./rope.ts";

/** A model's shape, read from `config.json`; nothing in it is left to be derived. */
export interface Config {
  /** How many. What each one is: `m.layers`. */
  readonly layers: number;
  readonly d: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Width of each routed expert and of the shared expert. */
  readonly ff: number;
  /** Width of the FFN of dense layers. */
  readonly ffDense: number;
  /** Routed experts a MoE layer; 0 without MoE layers. */
  readonly experts: number;
  /** Experts a token chooses. */
  readonly topk: number;
  readonly vocab: number;
  /** Tokens a chunk of the chunked layers; 0: no chunk. */
  readonly chunk: number;
  readonly eps: number;
  readonly qkNorm: boolean;
  readonly temperatureTuning: boolean;
  readonly floorScale: number;
  readonly attnScale: number;
  readonly rope: Rope;
  readonly tied: boolean;
  /** The longest context that the checkpoint states. */
  readonly context: number;
  readonly bos: number | null;
  readonly eos: readonly number[];
  readonly pad: number | null;
  /** The checkpoint has a vision part (not loaded). */
  readonly vision: boolean;
  readonly layerFacts: readonly LayerFacts[];
  /** The text part of `config.json` as it is. */
  readonly hf: Readonly<Record<string, unknown>>;
}

const LIMIT = 1 << 28;
const size = z.number().int().positive().max(LIMIT);
const count = z.number().int().nonnegative().max(LIMIT);
const positive = z.number().positive().finite();
/** Early files have integers where later ones have booleans. */
const flag = z.union([z.boolean(), z.number().int()]).transform(Boolean);
const id = z.number().int().nonnegative().nullish();
const list = z.array(count).max(4096).nullish();

const scaling = z.object({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: positive.nullish(),
  factor: positive.nullish(),
  low_freq_factor: positive.nullish(),
  high_freq_factor: positive.nullish(),
  original_max_position_embeddings: positive.nullish(),
});

const text = z.object({
  hidden_size: size,
  num_hidden_layers: size.max(4096),
  num_attention_heads: size.max(65536),
  num_key_value_heads: size.max(65536),
  head_dim: size.max(65536).nullish(),
  intermediate_size: size,
  intermediate_size_mlp: size.nullish(),
  num_local_experts: count.max(65536).nullish(),
  num_experts_per_tok: count.nullish(),
  interleave_moe_layer_step: count.nullish(),
  moe_layers: list,
  no_rope_layers: list,
  no_rope_layer_interval: count.nullish(),
  layer_types: z
    .array(z.enum(["chunked_attention", "full_attention"]))
    .max(4096)
    .nullish(),
  attention_chunk_size: size.nullish(),
  vocab_size: size,
  rms_norm_eps: positive.nullish(),
  use_qk_norm: flag.nullish(),
  attn_temperature_tuning: flag.nullish(),
  floor_scale: positive.nullish(),
  attn_scale: z.number().finite().nullish(),
  rope_theta: positive.nullish(),
  rope_scaling: scaling.nullish(),
  rope_parameters: scaling.nullish(),
  tie_word_embeddings: flag.nullish(),
  attention_bias: flag.nullish(),
  hidden_act: z.string().nullish(),
  max_position_embeddings: size.nullish(),
  bos_token_id: id,
  eos_token_id: z.union([z.number().int().nonnegative(), z.array(z.number().int().nonnegative())]).nullish(),
  pad_token_id: id,
});

type Text = z.infer<typeof text>;

/**
 * Reads a `config.json` (parsed), text-only `llama4_text` or the text part of `llama4`, in every spelling that the releases and
 * `transformers` 4 and 5 use. `file` is for messages.
 *
 * Errors: `ArchitectureError` when it is another model; `ConfigError` naming the field when one is missing, of the wrong type, or
 * does not fit the others.
 */
export function readConfig(raw: unknown, file: string): Config {
  const root = object(raw, file, "config.json");
  const { part, vision, prefix } = textPart(root, file);
  const fields = parse(part, file, prefix);
  const fail = (field: string, what: string, fix: string): never => {
    throw new ConfigError({ where: `${file}, field "${prefix}${field}"`, what, fix });
  };

  if (fields.attention_bias)
    fail("attention_bias", "attention with biases is not Llama 4", "Check that the file belongs to the weights");
  if (fields.hidden_act && fields.hidden_act !== "silu")
    fail("hidden_act", `"${fields.hidden_act}" is not supported`, 'Llama 4 uses "silu"');

  const {
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    hidden_size: d,
    num_hidden_layers: layers,
  } = fields;
  if (heads % kvHeads !== 0)
    fail(
      "num_key_value_heads",
      `${heads} query heads cannot be shared among ${kvHeads} key heads`,
      "The first must be a multiple of the second",
    );
  const headDim = fields.head_dim ?? d / heads;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0)
    fail(
      "head_dim",
      `${headDim} is not an even whole number`,
      fields.head_dim ? "RoPE turns pairs" : "It is missing, and hidden_size / num_attention_heads does not give one",
    );

  const chunk = fields.attention_chunk_size ?? 0;
  const layerFacts = layerKinds(fields, chunk, fail);
  const moe = layerFacts.some((l) => l.moe);
  const experts = moe ? fields.num_local_experts! : 0;
  const topk = moe ? (fields.num_experts_per_tok ?? 1) : 0;
  if (moe && (topk < 1 || topk > experts))
    fail(
      "num_experts_per_tok",
      `${topk} of ${experts} experts cannot be chosen`,
      "It must lie between 1 and num_local_experts",
    );
  const dense = layerFacts.some((l) => !l.moe);
  if (dense && fields.intermediate_size_mlp == null)
    fail("intermediate_size_mlp", "is missing, and the model has dense layers", "Give the width of their FFN");

  return {
    layers,
    d,
    heads,
    kvHeads,
    headDim,
    ff: fields.intermediate_size,
    ffDense: fields.intermediate_size_mlp ?? 0,
    experts,
    topk,
    vocab: fields.vocab_size,
    chunk,
    eps: fields.rms_norm_eps ?? 1e-5,
    qkNorm: fields.use_qk_norm ?? true,
    temperatureTuning: fields.attn_temperature_tuning ?? true,
    floorScale: fields.floor_scale ?? 8192,
    attnScale: fields.attn_scale ?? 0.1,
    rope: readRope(fields, fail),
    tied: fields.tie_word_embeddings ?? (part !== root && Boolean(root.tie_word_embeddings)),
    context: fields.max_position_embeddings ?? 131072,
    bos: fields.bos_token_id ?? null,
    eos: fields.eos_token_id == null ? [] : [fields.eos_token_id].flat(),
    pad: fields.pad_token_id ?? null,
    vision,
    layerFacts,
    hf: Object.freeze({ ...part }),
  };
}

type Fail = (field: string, what: string, fix: string) => never;

function layerKinds(fields: Text, chunk: number, fail: Fail): LayerFacts[] {
  const n = fields.num_hidden_layers;
  const interval = fields.no_rope_layer_interval ?? 4;
  // 1 means "uses RoPE", whatever the name says; an empty list means "derive".
  let rope = fields.no_rope_layers ?? [];
  if (rope.length === 0) {
    if (interval < 1)
      fail(
        "no_rope_layer_interval",
        `${interval} is not a period`,
        "Give the list no_rope_layers, or a period of at least 1",
      );
    rope = Array.from({ length: n }, (_, l) => ((l + 1) % interval === 0 ? 0 : 1));
  }
  if (rope.length !== n)
    fail("no_rope_layers", `${rope.length} entries for ${n} layers`, "One entry a layer, or [] to derive them");
  const types = fields.layer_types ?? rope.map((r) => (r ? "chunked_attention" : "full_attention"));
  if (types.length !== n)
    fail("layer_types", `${types.length} entries for ${n} layers`, "One entry a layer, or leave it out");
  const moe = moeLayers(fields, fail);
  return Array.from({ length: n }, (_, index): LayerFacts => {
    const chunked = chunk > 0 && types[index] === "chunked_attention";
    return { index, kind: chunked ? "chunked" : "global", rope: rope[index] !== 0, moe: moe.has(index) };
  });
}

function moeLayers(fields: Text, fail: Fail): ReadonlySet<number> {
  const n = fields.num_hidden_layers;
  const experts = fields.num_local_experts ?? 0;
  const step = fields.interleave_moe_layer_step ?? 1;
  let layers = fields.moe_layers;
  if (layers == null) {
    layers = [];
    if (experts > 0) {
      if (step < 1)
        fail(
          "interleave_moe_layer_step",
          `${step} with ${experts} experts says nothing about where they are`,
          "Give moe_layers, or a step of at least 1",
        );
      for (let l = step - 1; l < n; l += step) layers.push(l);
    }
  }
  const outside = layers.find((l) => l >= n);
  if (outside !== undefined) fail("moe_layers", `there is no layer ${outside} among ${n}`, "Layers are counted from 0");
  if (layers.length > 0 && experts === 0)
    fail(
      "num_local_experts",
      `${layers.length} MoE layers, but no experts`,
      "Give their number, or moe_layers: [] for a dense model",
    );
  return new Set(layers);
}

function readRope(fields: Text, fail: Fail): Rope {
  const field = fields.rope_parameters ? "rope_parameters" : "rope_scaling";
  const s = fields.rope_parameters ?? fields.rope_scaling;
  const theta = s?.rope_theta ?? fields.rope_theta ?? 500000;
  const type = s?.rope_type ?? s?.type ?? "default";
  if (!s || type === "default") return { theta, scaling: null };
  if (type !== "llama3") fail(field, `rope type "${type}" is not supported`, 'Llama 4 uses "llama3" or "default"');
  const need = (name: "factor" | "low_freq_factor" | "high_freq_factor" | "original_max_position_embeddings"): number =>
    s[name] ??
    fail(
      `${field}.${name}`,
      "is missing",
      "llama3 scaling needs factor, low_freq_factor, high_freq_factor and original_max_position_embeddings",
    );
  const low = need("low_freq_factor");
  const high = need("high_freq_factor");
  if (low > high)
    fail(`${field}.low_freq_factor`, `${low} is above high_freq_factor ${high}`, "The two are probably exchanged");
  return {
    theta,
    scaling: {
      type: "llama3",
      factor: need("factor"),
      lowFreqFactor: low,
      highFreqFactor: high,
      originalContext: need("original_max_position_embeddings"),
    },
  };
}

const KNOWN = ["llama4", "llama4_text"];

function textPart(
  root: Record<string, unknown>,
  file: string,
): { part: Record<string, unknown>; vision: boolean; prefix: string } {
  const type = root.model_type;
  if (typeof type !== "string")
    throw new ConfigError({
      where: `${file}, field "model_type"`,
      what: type === undefined ? "is missing" : "is not a text",
      fix: 'Llama 4 has "llama4" or "llama4_text"',
    });
  if (!KNOWN.includes(type))
    throw new ArchitectureError({
      where: file,
      what: `model_type "${type.slice(0, 80)}" is not a Llama 4 model${didYouMean(type, KNOWN)}`,
      fix: "This engine runs Llama 4 (Scout, Maverick, and relatives of any size) only",
    });
  if (type === "llama4_text") return { part: root, vision: false, prefix: "" };
  if (root.text_config === undefined)
    throw new ConfigError({
      where: `${file}, field "text_config"`,
      what: "is missing",
      fix: 'A "llama4" model describes its text part there',
    });
  return {
    part: object(root.text_config, file, '"text_config"'),
    vision: root.vision_config != null,
    prefix: "text_config.",
  };
}

function object(value: unknown, file: string, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new ConfigError({ where: file, what: `${what} is not an object`, fix: "Download the file again" });
}

function parse(part: Record<string, unknown>, file: string, prefix: string): Text {
  const result = text.safeParse(part);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const value = issue.path.reduce<unknown>((v, key) => (v as Record<PropertyKey, unknown> | undefined)?.[key], part);
  throw new ConfigError({
    where: `${file}, field "${prefix}${issue.path.map(String).join(".")}"`,
    what: value === undefined ? "is missing" : `${quoted(value)} is not accepted: ${issue.message}`,
    fix:
      value === undefined
        ? "Download the file again, or add the field"
        : "Correct the field, or download the file again",
  });
}
