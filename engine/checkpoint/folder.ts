import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join, normalize } from "node:path";
import { CheckpointError, ConfigError } from "../errors.ts";
import { type Config, readConfig } from "./config.ts";
import { type Header, readHeader } from "./safetensors.ts";
import { collectWeights, type WeightList } from "./weights.ts";

/** Sampling that the checkpoint recommends, where it does. */
export interface GenerationDefaults {
  readonly eos: readonly number[];
  readonly temperature?: number;
  readonly topP?: number;
}

/** A checkpoint folder, read but for its weights' data. */
export interface Checkpoint extends WeightList {
  readonly folder: string;
  readonly name: string;
  readonly config: Config;
  readonly generation: GenerationDefaults;
  /** `tokenizer.json` parsed; null: the model takes token ids only. */
  readonly tokenizer: Readonly<Record<string, unknown>> | null;
  readonly tokenizerConfig: Readonly<Record<string, unknown>>;
  readonly chatTemplate: string | null;
}

type Seen = (done: number, total: number) => void;

/**
 * Reads everything in a Hugging Face Llama 4 folder but the data of its weights, and checks that the parts fit.
 *
 * Errors: `ConfigError`, `ArchitectureError`, `CheckpointError`, each naming file and field or tensor.
 */
export async function readCheckpoint(folder: string, seen: Seen = () => {}): Promise<Checkpoint> {
  const config = readConfigFile(folder);
  refuseQuantised(config, folder);
  const headers: Header[] = [];
  const shards = shardFiles(folder);
  for (const file of shards.files) {
    headers.push(await readHeader(join(folder, file)));
    seen(headers.length, shards.files.length);
  }
  if (shards.map) checkIndex(shards.map, headers, folder);
  const list = collectWeights(config, headers, folder);
  const tokenizerConfig = json(join(folder, "tokenizer_config.json")) ?? {};
  return {
    ...list,
    folder,
    name: nameOf(folder),
    config,
    generation: readGeneration(folder, config),
    tokenizer: json(join(folder, "tokenizer.json")),
    tokenizerConfig,
    chatTemplate: readTemplate(folder, tokenizerConfig),
  };
}

/** The folder's own name; of a snapshot in the Hugging Face cache, the hub id. */
function nameOf(folder: string): string {
  const hub = /models--(.+?)--(.+?)[/\\]snapshots[/\\][^/\\]+$/.exec(folder);
  return hub ? `${hub[1]}/${hub[2]}` : basename(folder);
}

/** `config.json` alone: what a plan needs. */
export function readConfigFile(folder: string): Config {
  const path = join(folder, "config.json");
  if (!existsSync(path))
    throw new ConfigError({
      where: folder,
      what: "there is no config.json",
      fix: "Give the folder of a model in Hugging Face layout",
    });
  return readConfig(json(path), path);
}

function refuseQuantised(config: Config, folder: string): void {
  const q = config.hf.quantization_config as { quant_method?: unknown } | undefined;
  if (q == null) return;
  throw new CheckpointError({
    where: join(folder, "config.json"),
    what: `the weights are quantised (${String(q.quant_method ?? "unknown method")})`,
    fix: "Use the BF16 checkpoint; quantised ones cannot be loaded yet",
  });
}

interface Shards {
  readonly files: string[];
  /** Tensor name to file, from the index. */
  readonly map: ReadonlyMap<string, string> | null;
}

function shardFiles(folder: string): Shards {
  const index = join(folder, "model.safetensors.index.json");
  if (existsSync(index)) return readIndex(json(index), index);
  if (existsSync(join(folder, "model.safetensors"))) return { files: ["model.safetensors"], map: null };
  const others = readdirSync(folder).filter((f) => /\.(safetensors|bin|pth|gguf)$/.test(f));
  throw new CheckpointError({
    where: folder,
    what: `there is neither model.safetensors nor model.safetensors.index.json${others.length ? ` (there is ${others.slice(0, 3).join(", ")})` : ""}`,
    fix: "Download the safetensors weights; other formats are not read",
  });
}

/** The index of a sharded checkpoint: `weight_map` says which file holds each tensor. */
export function readIndex(raw: unknown, path: string): Shards {
  const fail = (what: string): never => {
    throw new CheckpointError({ where: path, what, fix: "Download the file again" });
  };
  const map = (raw as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map))
    return fail('"weight_map" is missing or not an object');
  const entries = Object.entries(map as Record<string, unknown>);
  if (entries.length === 0) fail('"weight_map" is empty');
  const files = new Map<string, string>();
  for (const [tensor, file] of entries) {
    if (typeof file !== "string" || !/^[^/\\\0]+\.safetensors$/.test(file) || normalize(file) !== file)
      fail(
        `"weight_map" gives ${JSON.stringify(file)?.slice(0, 80)} for "${tensor.slice(0, 120)}", which is not a file name ending in .safetensors`,
      );
    files.set(tensor, file as string);
  }
  return { files: [...new Set(files.values())].sort(), map: files };
}

/** Index and headers must say the same. */
function checkIndex(map: ReadonlyMap<string, string>, headers: readonly Header[], folder: string): void {
  const fail = (what: string): never => {
    throw new CheckpointError({
      where: join(folder, "model.safetensors.index.json"),
      what,
      fix: "Download the folder again",
    });
  };
  const byFile = new Map(headers.map((h) => [basename(h.path), h]));
  for (const [tensor, file] of map)
    if (!byFile.get(file)!.tensors.has(tensor)) fail(`"${tensor}" should be in ${file}, which does not have it`);
  for (const header of headers)
    for (const tensor of header.tensors.keys())
      if (!map.has(tensor)) fail(`"${tensor}" is in ${basename(header.path)}, but the index does not name it`);
}

function readGeneration(folder: string, config: Config): GenerationDefaults {
  const path = join(folder, "generation_config.json");
  const raw = json(path) as Record<string, unknown> | null;
  const number = (name: string, as: "temperature" | "topP"): { temperature?: number; topP?: number } => {
    const v = raw?.[name];
    if (v == null || raw?.do_sample === false) return {};
    if (typeof v === "number" && Number.isFinite(v)) return { [as]: v };
    throw new ConfigError({
      where: `${path}, field "${name}"`,
      what: `${JSON.stringify(v)} is not a number`,
      fix: "Correct or remove the field",
    });
  };
  const eos = raw?.eos_token_id == null ? config.eos : [raw.eos_token_id].flat();
  if (!eos.every((id): id is number => Number.isInteger(id) && (id as number) >= 0))
    throw new ConfigError({
      where: `${path}, field "eos_token_id"`,
      what: "is not a token id or a list of them",
      fix: "Correct or remove the field",
    });
  return { eos, ...number("temperature", "temperature"), ...number("top_p", "topP") };
}

function readTemplate(folder: string, tokenizerConfig: Readonly<Record<string, unknown>>): string | null {
  const file = join(folder, "chat_template.jinja");
  if (existsSync(file)) return readFileSync(file, "utf8");
  const inline = tokenizerConfig.chat_template;
  if (typeof inline === "string") return inline;
  if (!Array.isArray(inline)) return null;
  const named = inline as { name?: unknown; template?: unknown }[];
  const chosen = named.find((t) => t?.name === "default") ?? named[0];
  return typeof chosen?.template === "string" ? chosen.template : null;
}

/** A tokenizer of a million tokens is 60 MB; what is larger is not one of these files. */
const MAX_JSON = 1 << 28;

/** A small JSON file; null when it is not there. */
function json(path: string): Record<string, unknown> | null {
  if (!existsSync(path)) return null;
  const { size } = statSync(path);
  if (size > MAX_JSON)
    throw new CheckpointError({
      where: path,
      what: `${size} bytes are too many for this file`,
      fix: "Download it again",
    });
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch (e) {
    throw new CheckpointError({
      where: path,
      what: `this is not JSON (${(e as Error).message.slice(0, 120)})`,
      fix: "Download the file again",
    });
  }
  throw new CheckpointError({ where: path, what: "this is not a JSON object", fix: "Download the file again" });
}
