import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import { options, quoted } from "../check.ts";
import { ArgumentError, TokenizerError } from "../errors.ts";
import { type Alphabet, alphabetOf, type Offset, offsets, showBytes, tokenBytes } from "./bytes.ts";

interface Special {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

export interface EncodeOptions {
  /** Control tokens written in the text (`<|eot|>`) become the control token. Default false: they are encoded as ordinary text. */
  readonly special?: boolean;
  /** Begin with the tokens that the checkpoint puts before a text (BOS). Default false; `m.run(text)` does it. */
  readonly bos?: boolean;
}

/** Texts longer than this are encoded in pieces cut at line ends, so that one call cannot take the memory of the process. */
const PIECE = 1 << 20;

/**
 * A checkpoint's tokenizer. Ids equal those of Python `tokenizers` on the same text; text that looks like a control token stays text
 * unless asked for.
 *
 * ```ts
 * m.tokenizer.encode("Hello world").map(m.tokenizer.text)   // ["Hello", " world"]
 * ```
 */
export class Tokenizer {
  readonly #plain: HfTokenizer;
  readonly #alphabet: Alphabet;
  readonly #specials: readonly Special[];
  readonly #byContent: ReadonlyMap<string, Special>;
  readonly #controlIds: ReadonlySet<number>;
  readonly #pattern: RegExp | null;
  readonly #bos: readonly number[];
  readonly #tokens: readonly (string | undefined)[];
  readonly #bytes: (Uint8Array | undefined)[] = [];
  readonly #config: Readonly<Record<string, unknown>>;
  #idsByText: Map<string, number[]> | null = null;

  /** @internal */
  constructor(
    json: Readonly<Record<string, unknown>>,
    config: Readonly<Record<string, unknown>> = {},
    where = "tokenizer.json",
  ) {
    const added = Array.isArray(json.added_tokens) ? (json.added_tokens as Special[]) : [];
    for (const t of added)
      if (!Number.isInteger(t?.id) || typeof t?.content !== "string")
        throw new TokenizerError({
          where,
          what: "an entry of added_tokens has no id or content",
          fix: "Download the file again",
        });
    try {
      // Without control tokens, so that no text can become one; those that are not special are ordinary vocabulary.
      this.#plain = new HfTokenizer(
        { ...json, added_tokens: added.filter((t) => !t.special), post_processor: null },
        config,
      );
      this.#bos =
        tokensBefore(json.post_processor) ?? new HfTokenizer(json, config).encode("", { add_special_tokens: true }).ids;
    } catch (e) {
      throw new TokenizerError({
        where,
        what: `it cannot be read (${(e as Error).message.slice(0, 120)})`,
        fix: "Download the file again",
        cause: e,
      });
    }
    this.#config = config;
    this.#alphabet = alphabetOf(json);
    this.#specials = added.filter((t) => t.special);
    this.#byContent = new Map(this.#specials.map((t) => [t.content, t]));
    this.#controlIds = new Set(this.#specials.map((t) => t.id));
    const longestFirst = [...this.#byContent.keys()].filter(Boolean).sort((a, b) => b.length - a.length);
    this.#pattern = longestFirst.length
      ? new RegExp(longestFirst.map((s) => s.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"), "g")
      : null;
    const tokens: (string | undefined)[] = [];
    for (const [token, id] of this.#plain.get_vocab(true)) tokens[id] = token;
    for (const t of added) tokens[t.id] = t.content;
    this.#tokens = tokens;
  }

  /** Ids that the vocabulary reaches to; some below may be unused. */
  get size(): number {
    return this.#tokens.length;
  }

  /** Control tokens by their text: `special.get("<|eot|>")`. */
  get special(): ReadonlyMap<string, number> {
    return new Map(this.#specials.map((t) => [t.content, t.id]));
  }

  /** Ids of a text, without BOS unless `bos`. */
  encode(text: string, o: EncodeOptions = {}): number[] {
    if (typeof text !== "string")
      throw new ArgumentError({
        where: "tokenizer.encode",
        what: `${typeof text} is not a text`,
        fix: "Give a string",
      });
    options(o, "tokenizer.encode");
    const ids = o.special ? this.#encodeSpecial(text) : this.#encodePlain(text);
    return o.bos ? [...this.#bos, ...ids] : ids;
  }

  /** The text of ids. Bytes that are no character become U+FFFD, as everywhere. */
  decode(ids: number | ArrayLike<number>, o: { readonly special?: boolean } = {}): string {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    if (typeof ids !== "number" && (typeof ids !== "object" || ids === null)) throw notAnId(ids, "tokenizer.decode");
    const list = typeof ids === "number" ? [ids] : Array.from(ids);
    let out = "";
    for (const id of list)
      if (o.special !== false || !this.#controlIds.has(id)) out += decoder.decode(this.bytes(id), { stream: true });
    return out + decoder.decode();
  }

  /** One token for display: `" Paris"`, `"<|eot|>"`; a part of a character shows as `\xE2`. */
  readonly text = (id: number): string => showBytes(this.bytes(id));

  /** The bytes that a token stands for. */
  bytes(id: number): Uint8Array {
    if (!Number.isInteger(id) || id < 0) throw notAnId(id, "tokenizer");
    const known = this.#bytes[id];
    if (known) return known;
    const token = this.#tokens[id];
    // Rows of the embedding that the tokenizer does not name (reserved tokens) have no text.
    const bytes =
      token === undefined
        ? new TextEncoder().encode(`<|${id}|>`)
        : this.#controlIds.has(id)
          ? new TextEncoder().encode(token)
          : tokenBytes(token, this.#alphabet);
    this.#bytes[id] = bytes;
    return bytes;
  }

  isSpecial(id: number): boolean {
    return this.#controlIds.has(id);
  }

  /** Where each token of `encode(text)` lies, in UTF-16 units of the text; null where a normalizer changed it. */
  offsets(text: string, ids: readonly number[] = this.encode(text)): Offset[] | null {
    return offsets(
      text,
      ids.map((id) => this.bytes(id)),
    );
  }

  /** Ids whose text this is exactly. */
  idsOf(text: string): readonly number[] {
    if (!this.#idsByText) {
      this.#idsByText = new Map();
      for (let id = 0; id < this.#tokens.length; id++) {
        if (this.#tokens[id] === undefined) continue;
        const key = this.text(id);
        const list = this.#idsByText.get(key);
        if (list) list.push(id);
        else this.#idsByText.set(key, [id]);
      }
    }
    return this.#idsByText.get(text) ?? [];
  }

  #encodePlain(text: string): number[] {
    if (text.length <= PIECE || this.#alphabet !== "byte-level") return this.#encodePiece(text);
    const ids: number[] = [];
    for (const piece of cutAtLines(text)) for (const id of this.#encodePiece(piece)) ids.push(id);
    return ids;
  }

  #encodePiece(text: string): number[] {
    const ids = this.#plain.encode(text, { add_special_tokens: false }).ids;
    if (!ids.some((id: number) => this.#controlIds.has(id))) return ids;
    // The vocabulary itself spells a control token: take it apart at its first character.
    const [first] = [...text];
    if (text.length === first.length)
      throw new TokenizerError({
        where: JSON.stringify(text),
        what: "this one character is a control token",
        fix: "Pass { ids } to use it",
      });
    return [...this.#encodePiece(first), ...this.#encodePiece(text.slice(first.length))];
  }

  #encodeSpecial(text: string): number[] {
    if (!this.#pattern) return this.#encodePlain(text);
    const ids: number[] = [];
    let from = 0;
    for (const match of text.matchAll(this.#pattern)) {
      if (match.index > from) ids.push(...this.#encodePlain(text.slice(from, match.index)));
      ids.push(this.#byContent.get(match[0])!.id);
      from = match.index + match[0].length;
    }
    if (from < text.length) ids.push(...this.#encodePlain(text.slice(from)));
    return ids;
  }

  /** @internal The text of `bos_token` or `eos_token` in `tokenizer_config.json`; "" when it names none. */
  named(name: "bos_token" | "eos_token"): string {
    const token = this.#config[name];
    const text = typeof token === "string" ? token : (token as { content?: unknown } | null | undefined)?.content;
    return typeof text === "string" ? text : "";
  }

  /** @internal Texts of control tokens, for escaping. */
  get controlTexts(): readonly string[] {
    return [...this.#byContent.keys()].filter(Boolean);
  }
}

interface PostProcessor {
  readonly type?: string;
  readonly processors?: readonly PostProcessor[];
  readonly single?: readonly { readonly SpecialToken?: { readonly id: string } }[];
  readonly special_tokens?: Readonly<Record<string, { readonly ids: readonly number[] }>>;
}

/** Ids that the post-processor puts before a text; null for a kind that only the library knows. */
function tokensBefore(raw: unknown): number[] | null {
  if (raw == null) return [];
  const p = raw as PostProcessor;
  if (p.type === "ByteLevel") return [];
  if (p.type === "Sequence") {
    const all = (p.processors ?? []).map(tokensBefore);
    return all.includes(null) ? null : (all as number[][]).flat();
  }
  if (p.type !== "TemplateProcessing") return null;
  const ids: number[] = [];
  for (const item of p.single ?? []) {
    if (!item.SpecialToken) break;
    ids.push(...(p.special_tokens?.[item.SpecialToken.id]?.ids ?? []));
  }
  return ids;
}

/** Pieces of about a megabyte that begin a line: the split patterns of Llama 3 and 4 never reach across a line end and a letter. */
function* cutAtLines(text: string): Generator<string> {
  const boundary = /\n(?=[\p{L}\p{N}])/gu;
  let from = 0;
  while (text.length - from > PIECE) {
    boundary.lastIndex = from + PIECE;
    const at = boundary.exec(text);
    if (!at) break;
    yield text.slice(from, at.index + 1);
    from = at.index + 1;
  }
  yield text.slice(from);
}

function notAnId(id: unknown, where: string): ArgumentError {
  return new ArgumentError({ where, what: `${quoted(id)} is not a token id`, fix: "Ids are whole numbers from 0" });
}
