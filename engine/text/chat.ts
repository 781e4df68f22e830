import { Worker } from "node:worker_threads";
import { ArgumentError, CancelledError, TemplateError } from "../errors.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface Message {
  readonly role: "system" | "user" | "assistant" | (string & {});
  readonly content: string;
}

/** A conversation as tokens. */
export interface ChatPrompt {
  readonly ids: number[];
  /** Whose message each token belongs to; "assistant" for the header that asks for the answer. */
  readonly roles: string[];
  /** What the template made, control tokens included. */
  readonly text: string;
}

export interface ChatOptions {
  /** End with the header of the assistant's answer. Default true. */
  readonly generationPrompt?: boolean;
  /** Default 2,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * A conversation through the checkpoint's own template. The template runs in a worker under a time and a memory limit. What messages
 * contain never becomes a control token: in their text, the first character of anything that spells one is marked before rendering, and
 * the mark is removed when the pieces between the template's own control tokens are encoded.
 *
 * Errors: `TemplateError` when there is no template, it fails (its own words), or it does not end in time.
 */
export async function encodeChat(
  messages: readonly Message[],
  template: string | null,
  tokenizer: Tokenizer,
  o: ChatOptions = {},
): Promise<ChatPrompt> {
  checkMessages(messages);
  if (template === null)
    throw new TemplateError({
      where: "chat",
      what: "the checkpoint has no chat template",
      fix: "Use an instruction-tuned checkpoint, or m.generate with a text",
    });
  const mark = unusedCharacter(messages);
  const guard = escaper(tokenizer.controlTexts, mark);
  const safe = messages.map((m) => ({ ...m, role: guard(m.role), content: guard(m.content) }));
  const context = (n: number, prompt: boolean): Record<string, unknown> => ({
    messages: safe.slice(0, n),
    add_generation_prompt: prompt,
    bos_token: tokenizer.named("bos_token"),
    eos_token: tokenizer.named("eos_token"),
  });
  // The conversation so far, after each message, tells whose text is whose.
  const prefixes = messages.length <= 64 ? messages.map((_, i) => context(i + 1, false)) : [];
  const [whole, ...parts] = await render(
    template,
    [context(messages.length, o.generationPrompt ?? true), ...prefixes],
    o,
  );
  if (whole.text === undefined)
    throw new TemplateError({
      where: "chat template",
      what: whole.error ?? "it gave no text",
      fix: "Check the roles and their order; the template is m.chatTemplate",
    });
  const marked = whole.text;
  const ends = parts.map((p) => (p.text !== undefined && marked.startsWith(p.text) ? p.text.length : null));
  return assemble(marked, mark, ends, messages, tokenizer);
}

function checkMessages(messages: readonly Message[]): void {
  if (!Array.isArray(messages) || messages.length === 0)
    throw new ArgumentError({
      where: "chat",
      what: "there are no messages",
      fix: 'Give [{ role: "user", content: "…" }]',
    });
  messages.forEach((m, i) => {
    if (typeof m?.role !== "string" || typeof m?.content !== "string")
      throw new ArgumentError({
        where: `chat, message ${i}`,
        what: "role and content must be texts",
        fix: 'For example { role: "user", content: "…" }',
      });
  });
}

/** A private-use character that no message contains. */
function unusedCharacter(messages: readonly Message[]): string {
  for (let code = 0xe000; code < 0xf900; code++) {
    const c = String.fromCharCode(code);
    if (!messages.some((m) => m.content.includes(c) || m.role.includes(c))) return c;
  }
  throw new ArgumentError({ where: "chat", what: "the messages use every private-use character", fix: "Remove some" });
}

/** Puts the mark after the first character of every control token that is spelled out, whole or begun at the end of the text. */
function escaper(controls: readonly string[], mark: string): (text: string) => string {
  const sorted = [...controls].sort((a, b) => b.length - a.length);
  const firsts = new Set(controls.map((c) => c[0]));
  return (text) => {
    let out = "";
    for (let i = 0; i < text.length; i++) {
      out += text[i];
      if (!firsts.has(text[i])) continue;
      const rest = text.slice(i, i + (sorted[0]?.length ?? 0));
      if (sorted.some((c) => rest.startsWith(c) || (i + rest.length === text.length && c.startsWith(rest))))
        out += mark;
    }
    return out;
  };
}

function assemble(
  marked: string,
  mark: string,
  ends: readonly (number | null)[],
  messages: readonly Message[],
  tokenizer: Tokenizer,
): ChatPrompt {
  const ids: number[] = [];
  const roles: string[] = [];
  const roleAt = (place: number): string => {
    const i = ends.findIndex((end) => end !== null && place < end);
    if (i >= 0) return messages[i].role;
    return ends.length > 0 && ends.every((e) => e !== null) ? "assistant" : "";
  };
  const push = (list: readonly number[], place: number): void => {
    for (const id of list) {
      ids.push(id);
      roles.push(roleAt(place));
    }
  };
  for (const piece of splitControls(marked, tokenizer)) {
    if (piece.id !== null) push([piece.id], piece.from);
    else plain(piece.text, piece.from);
  }
  return { ids, roles, text: marked.replaceAll(mark, "") };

  /** Encoded as one text, then shared out among roles by where each token begins. */
  function plain(text: string, from: number): void {
    const clean = text.replaceAll(mark, "");
    const list = tokenizer.encode(clean);
    const places = text.includes(mark) ? null : tokenizer.offsets(clean, list);
    list.forEach((id, i) => {
      push([id], from + (places ? places[i][0] : 0));
    });
  }
}

interface Piece {
  readonly text: string;
  readonly from: number;
  readonly id: number | null;
}

function* splitControls(text: string, tokenizer: Tokenizer): Generator<Piece> {
  const controls = tokenizer.special;
  const pattern = [...controls.keys()].filter(Boolean).sort((a, b) => b.length - a.length);
  let from = 0;
  if (pattern.length > 0) {
    const regex = new RegExp(pattern.map((s) => s.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"), "g");
    for (const match of text.matchAll(regex)) {
      if (match.index > from) yield { text: text.slice(from, match.index), from, id: null };
      yield { text: match[0], from: match.index, id: controls.get(match[0])! };
      from = match.index + match[0].length;
    }
  }
  if (from < text.length) yield { text: text.slice(from), from, id: null };
}

interface Rendered {
  readonly text?: string;
  readonly error?: string;
}

/** A fresh worker a call: a template that loops or eats memory takes only that worker with it. */
async function render(template: string, contexts: readonly object[], o: ChatOptions): Promise<Rendered[]> {
  const limit = o.timeoutMs ?? 2000;
  const fail = (what: string, cause?: unknown): TemplateError =>
    new TemplateError({ where: "chat template", what, fix: "The template is m.chatTemplate", cause });
  if (o.signal?.aborted) throw new CancelledError();
  const worker = new Worker(new URL("./render.js", import.meta.url), {
    workerData: { template, contexts },
    resourceLimits: { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 16 },
    execArgv: [],
    env: {},
  });
  let timer: NodeJS.Timeout | undefined;
  let abort: (() => void) | undefined;
  try {
    return await new Promise<Rendered[]>((resolve, reject) => {
      timer = setTimeout(() => reject(fail(`it did not end within ${limit} ms`)), limit);
      abort = () => reject(new CancelledError());
      o.signal?.addEventListener("abort", abort);
      worker.once("message", resolve);
      worker.once("error", (e) => reject(fail(`it failed (${e.message})`, e)));
      worker.once("exit", () => reject(fail("its worker ended without an answer")));
    });
  } finally {
    clearTimeout(timer);
    if (abort) o.signal?.removeEventListener("abort", abort);
    void worker.terminate();
  }
}
