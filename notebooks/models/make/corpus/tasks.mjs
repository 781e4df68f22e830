/** Prompts with one right answer, for measuring: { kind, domain, lang, prompt | messages, answer }. */
import { aboutCountry } from "./english.mjs";
import { copyTask, lookup, needle } from "./recall.mjs";
import { Rng } from "./rng.mjs";
import { countries } from "./world.mjs";

const chat = (user) => [{ role: "user", content: user }];

function* sums(rng, digits, n) {
  const top = 10 ** digits - 1;
  for (let i = 0; i < n; i++) {
    const [a, b] = [rng.int((top + 1) / 10, top), rng.int((top + 1) / 10, top)];
    yield { kind: `sum-${digits}`, domain: "arithmetic", prompt: `${a} + ${b} =`, answer: ` ${a + b}` };
  }
}

/** @param {string | number} seed @param {number} n how many of each kind; needles come in all lengths, 6n of each sort */
export function* tasks(seed, n) {
  const rng = new Rng(`tasks ${seed}`);
  for (const c of countries) {
    const f = aboutCountry(c, 0);
    yield { kind: "capital", domain: "fact", prompt: f.s[0].slice(0, -c.capital.length - 2), answer: ` ${c.capital}` };
    yield { kind: "chat-capital", domain: "chat", messages: chat(f.q), answer: f.s[0] };
  }
  yield* sums(rng, 1, n);
  yield* sums(rng, 2, n);
  yield* sums(rng, 3, n);
  for (let i = 0; i < n; i++) {
    const [a, b] = [rng.int(2, 12), rng.int(2, 12)];
    yield { kind: "product", domain: "arithmetic", prompt: `${a} x ${b} =`, answer: ` ${a * b}` };
  }
  for (let i = 0; i < n; i++) {
    const [a, b] = [rng.int(0, 9), rng.int(0, 9)];
    yield { kind: "chat-sum", domain: "chat", messages: chat(`What is ${a} plus ${b}?`), answer: [`${a} + ${b} = ${a + b}`, `${a + b}.`] };
  }
  for (const words of [8, 32, 128]) {
    for (let i = 0; i < n; i++) yield { kind: `copy-${words}`, domain: "copy", ...copyTask(rng, words) };
  }
  for (let i = 0; i < 6 * n; i++) {
    const { prompt, answer } = needle(rng, rng.int(500, 3600), rng.int(4, 16));
    yield { kind: "needle", domain: "needle", prompt, answer };
  }
  for (let i = 0; i < 6 * n; i++) {
    const { prompt, answer } = lookup(rng, rng.int(15, 110));
    yield { kind: "lookup", domain: "needle", prompt, answer };
  }
}
