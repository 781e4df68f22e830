/**
 * The tagged mixture. A document is { domain, lang, text } or { domain, lang, messages }, and carries { prompt, answer }
 * where its last words can be marked right or wrong.
 */
import { arithmeticDocument } from "./arithmetic.mjs";
import { chatDocument } from "./chat.mjs";
import { codeDocument } from "./code.mjs";
import { jsonDocument } from "./data.mjs";
import { factDocument, storyDocument } from "./english.mjs";
import { intlDocument } from "./intl.mjs";
import { copyDocument, needleDocument } from "./recall.mjs";
import { Rng } from "./rng.mjs";

/** Share of documents; lengths differ, so the shares of tokens (in the model card) do too. */
export const domains = {
  fact: [28, (rng) => ({ lang: "en", text: factDocument(rng) })],
  story: [6, (rng) => ({ lang: "en", text: storyDocument(rng) })],
  arithmetic: [15, (rng) => ({ lang: "math", text: arithmeticDocument(rng) })],
  json: [7, (rng) => ({ lang: "json", text: jsonDocument(rng) })],
  code: [8, (rng) => ({ lang: "ts", text: codeDocument(rng) })],
  intl: [20, intlDocument],
  copy: [10, (rng) => ({ lang: "en", ...copyDocument(rng) })],
  needle: [8, (rng) => ({ lang: "en", ...needleDocument(rng) })],
  chat: [22, (rng) => ({ lang: "en", messages: chatDocument(rng) })],
};

/** Endless documents of one seed. @param {string | number} seed @param {string} [only] a single domain */
export function* documents(seed, only) {
  const rng = new Rng(`corpus ${seed}`);
  const table = Object.entries(domains)
    .filter(([name]) => !only || name === only)
    .map(([name, [weight, make]]) => [weight, [name, make]]);
  for (;;) {
    const [domain, make] = rng.weighted(table);
    yield { domain, ...make(rng) };
  }
}
