/** The engine through its addon: prefill of all rows with what is always known of them, then greedy decode. */
import type { Config } from "../../../engine/checkpoint/config.ts";
import { readCheckpoint } from "../../../engine/checkpoint/folder.ts";
import { native } from "../../../engine/model/addon.ts";
import { nativeConfig } from "../../../engine/model/facts.ts";
import type { CaptureSpec, LoadSpec, NativeModel } from "../../../engine/native.ts";

export type Format = LoadSpec["format"];

export interface Timing {
  /** Best seconds of a prefill of all ids. */
  prefill: number;
  /** Best seconds a token, from a quarter of the ids on. */
  decode: number;
  /** The same with every router's choice, score and logits kept. */
  watchedPrefill: number;
  watchedDecode: number;
  tokens: number[];
}

export async function open(
  config: Config,
  folder: string | null,
  format: Format,
  threads: number,
  device: "cpu" | "cuda" = "cpu",
): Promise<NativeModel> {
  const checkpoint = folder ? await readCheckpoint(folder) : null;
  return native().load({
    config: nativeConfig(config, "hf"),
    files: checkpoint ? [...checkpoint.files] : [],
    weights: checkpoint ? [...checkpoint.weights] : [],
    ...(checkpoint ? {} : { random: { seed: 1, std: 0.02 } }),
    format,
    device,
    math: "fast",
    threads,
  }).done;
}

const router = (c: Config): CaptureSpec[] =>
  c.layerFacts.flatMap((l, layer) =>
    l.moe
      ? ["router.choice", "router.score", "router.logits"].map((site) => ({
          site,
          layer,
          rows: null,
          decode: true,
          heads: null,
          experts: null,
        }))
      : [],
  );

/** Seconds of a prefill of all ids; `watched`: with every router's choice, score and logits kept. */
export async function prefill(model: NativeModel, config: Config, ids: Int32Array, watched: boolean): Promise<number> {
  const state = model.state({ sequences: 1, context: ids.length });
  const begin = performance.now();
  const result = await state.forward({
    batch: { ids, lengths: Int32Array.of(ids.length) },
    captures: watched ? router(config) : [],
    edits: [],
  }).done;
  const seconds = (performance.now() - begin) / 1e3;
  result.release();
  state.release();
  return seconds;
}

/** Seconds a token of greedy decode after a prompt. */
export async function decode(
  model: NativeModel,
  config: Config,
  ids: Int32Array,
  count: number,
  o: { watched: boolean; profile?: boolean },
) {
  const state = model.state({ sequences: 1, context: ids.length + count });
  const result = await state.generate({
    batch: { ids, lengths: Int32Array.of(ids.length) },
    captures: o.watched ? router(config) : [],
    edits: [],
    profile: o.profile ?? false,
    maxTokens: count,
    temperature: 0,
    topP: 1,
    topK: 0,
    seed: 0,
    stopIds: new Int32Array(),
  }).done;
  const seconds = result.decodeMs / 1e3 / count;
  const tokens = [...result.ids];
  const profile = result.profile;
  result.release();
  state.release();
  return { seconds, tokens, profile };
}

/** Interleaved, so that a slow moment of the machine hits plain and watched alike. */
export async function measure(
  model: NativeModel,
  config: Config,
  ids: Int32Array,
  decodeTokens: number,
  repeats: number,
): Promise<Timing> {
  const t: Timing = {
    prefill: Infinity,
    decode: Infinity,
    watchedPrefill: Infinity,
    watchedDecode: Infinity,
    tokens: [],
  };
  const quarter = ids.slice(0, ids.length >> 2);
  for (let i = 0; i < repeats; i++) {
    t.prefill = Math.min(t.prefill, await prefill(model, config, ids, false));
    t.watchedPrefill = Math.min(t.watchedPrefill, await prefill(model, config, ids, true));
    const plain = await decode(model, config, quarter, decodeTokens, { watched: false });
    t.decode = Math.min(t.decode, plain.seconds);
    t.tokens = plain.tokens;
    t.watchedDecode = Math.min(
      t.watchedDecode,
      (await decode(model, config, quarter, decodeTokens, { watched: true })).seconds,
    );
  }
  return t;
}
