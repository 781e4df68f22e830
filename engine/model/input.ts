import { quoted } from "../check.ts";
import { ArgumentError } from "../errors.ts";
import type { TokenKind } from "../run/captured.ts";
import { Run } from "../run/run.ts";
import { encodeChat, type Message } from "../text/chat.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/** A text, token ids, a conversation, or a run (its input again). */
export type Input =
  | string
  | { readonly ids: ArrayLike<number> }
  | { readonly messages: readonly Message[] }
  | { readonly text: string }
  | Run;

/** One sequence as tokens. */
export interface Sequence {
  readonly ids: readonly number[];
  /** By token; "" outside a chat. */
  readonly roles: readonly string[];
}

/** What reading an input needs of the model. */
export interface InputContext {
  readonly vocab: number;
  readonly tokenizer: Tokenizer | null;
  readonly chatTemplate: string | null;
  readonly signal?: AbortSignal;
}

/**
 * Turns an input into sequences of token ids: one, or as many as a run of a batch had.
 *
 * Errors: `ArgumentError` for an empty input, a token id that is not there, or text without a tokenizer.
 */
export async function readInput(input: Input, c: InputContext, answer: boolean): Promise<Sequence[]> {
  if (typeof input !== "object" || input === null || !("messages" in input)) return readNow(input, c);
  const tokenizer = needTokenizer(c);
  const generationPrompt = answer || input.messages?.at?.(-1)?.role !== "assistant";
  const chat = await encodeChat(input.messages, c.chatTemplate, tokenizer, { generationPrompt, signal: c.signal });
  return [{ ids: checkIds(chat.ids, c.vocab), roles: chat.roles }];
}

/** The same at once, for everything but conversations: their template runs in a worker. */
export function readNow(input: Input, c: InputContext): Sequence[] {
  if (input instanceof Run) return ofRun(input, c);
  if (typeof input === "string") return [ofText(input, c)];
  if (typeof input !== "object" || input === null) throw notAnInput(input);
  if ("messages" in input)
    throw new ArgumentError({
      where: "input",
      what: "a conversation cannot be planned",
      fix: "Give a text or ids of that length",
    });
  if ("ids" in input) return [{ ids: checkIds(input.ids, c.vocab), roles: Array.from(input.ids, () => "") }];
  if ("text" in input && typeof input.text === "string") return [ofText(input.text, c)];
  throw notAnInput(input);
}

const notAnInput = (input: unknown): ArgumentError =>
  new ArgumentError({
    where: "input",
    what: `${Array.isArray(input) ? "a list" : input instanceof Promise ? "a promise" : typeof input} is not an input`,
    fix:
      input instanceof Promise
        ? "An await is missing"
        : 'Give a text, { ids: [1, 5] }, { messages: [{ role: "user", content: "…" }] }, or a run; lists go to m.batch',
  });

function ofText(text: string, c: InputContext): Sequence {
  if (text === "")
    throw new ArgumentError({ where: "input", what: "the text is empty", fix: "Give at least one character" });
  const ids = checkIds(needTokenizer(c).encode(text, { bos: true }), c.vocab);
  return { ids, roles: ids.map(() => "") };
}

/** The prompt rows of a run, sequence by sequence. */
function ofRun(run: Run, c: InputContext): Sequence[] {
  const { tokens, sequences } = run.captured;
  const out = Array.from({ length: sequences }, () => ({ ids: [] as number[], roles: [] as string[] }));
  for (let t = 0; t < tokens.length; t++) {
    if (tokens.step[t] >= 0) continue;
    out[tokens.seq[t]].ids.push(tokens.ids[t]);
    out[tokens.seq[t]].roles.push(tokens.role[t]);
  }
  for (const s of out) checkIds(s.ids, c.vocab);
  return out;
}

function needTokenizer(c: InputContext): Tokenizer {
  if (c.tokenizer) return c.tokenizer;
  throw new ArgumentError({
    where: "input",
    what: "the checkpoint has no tokenizer.json, so it cannot read text",
    fix: "Pass token ids: { ids: [1, 5, 7] }",
  });
}

function checkIds(ids: ArrayLike<number>, vocab: number): number[] {
  if (typeof ids?.length !== "number")
    throw new ArgumentError({ where: "input", what: "ids is not a list", fix: "Give { ids: [1, 5, 7] }" });
  if (ids.length === 0)
    throw new ArgumentError({ where: "input", what: "there are no token ids", fix: "Give at least one" });
  const list = Array.from(ids);
  const bad = list.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocab);
  if (bad >= 0)
    throw new ArgumentError({
      where: `input, token ${bad}`,
      what: `${quoted(list[bad])} is not a token id`,
      fix: `Ids are whole numbers from 0 to ${vocab - 1}`,
    });
  return list;
}

export function kindOf(id: number, bos: number | null, tokenizer: Tokenizer | null): TokenKind {
  if (id === bos) return "bos";
  return tokenizer?.isSpecial(id) ? "special" : "text";
}
