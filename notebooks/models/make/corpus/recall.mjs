/** Tasks that can be done only by looking back: copies, and needles in a haystack of up to the whole context. */
import { fact, story } from "./english.mjs";
import * as w from "./world.mjs";

const WORDS = [...w.things, ...w.animals, ...w.colours, ...w.foods, ...w.jobs, ...w.places];
const ADJECTIVES = [...w.colours, ...w.opposites.flat()].filter((x, i, all) => all.indexOf(x) === i);
const NOUNS = [...w.animals, ...w.things];

function symbols(rng, n) {
  return rng.weighted([
    [5, () => Array.from({ length: n }, () => rng.pick(WORDS)).join(" ")],
    [2, () => Array.from({ length: n }, () => String(rng.int(0, 99))).join(" ")],
    [2, () => Array.from({ length: n }, () => "abcdefghijklmnopqrstuvwxyz"[rng.int(0, 25)]).join(" ")],
    [1, () => Array.from({ length: n }, () => rng.pick(w.firstNames)).join(", ")],
  ])();
}

/** { prompt, answer }: the answer is the prompt's list again. Answers bring their own leading space, as tokens do. */
export function copyTask(rng, n = rng.weighted([[4, rng.int(2, 12)], [3, rng.int(12, 40)], [2, rng.int(40, 160)]])) {
  const text = symbols(rng, n);
  return { prompt: `Copy: ${text}\nCopied:`, answer: ` ${text}` };
}

export function copyDocument(rng) {
  const tasks = Array.from({ length: rng.weighted([[3, 1], [2, 2], [1, 4]]) }, () => {
    const t = copyTask(rng);
    return t.prompt + t.answer;
  });
  return { text: tasks.join("\n\n") };
}

const key = (rng, pool) => `${rng.pick(pool.adjectives)} ${rng.pick(pool.nouns)}`;

/**
 * A haystack with `needles` sentences "The code of the red lamp is 4821.", and questions about some of them at its end.
 * Keys share their words (a few adjectives times a few nouns), so half a match points at a wrong needle.
 * @param {number} chars wanted length of the haystack in characters
 * @returns {{ text: string, prompt: string, answer: string }} the whole document; and the part up to the last answer
 */
export function needle(rng, chars, needles = Math.max(1, Math.round((chars / 200) * rng.next() * rng.next() * 4))) {
  const pool = { adjectives: rng.sample(ADJECTIVES, Math.ceil(Math.sqrt(needles)) + 2), nouns: rng.sample(NOUNS, Math.ceil(Math.sqrt(needles)) + 2) };
  const codes = new Map();
  while (codes.size < needles) codes.set(key(rng, pool), rng.digits(4));
  const hay = [];
  let length = needles * 34;
  while (length < chars) {
    const s = rng.chance(0.7) ? rng.pick(fact(rng).s) : story(rng, rng.int(1, 4));
    hay.push(s);
    length += s.length + 1;
  }
  for (const [k, v] of codes) hay.splice(rng.int(0, hay.length), 0, `The code of the ${k} is ${v}.`);
  const asked = rng.sample([...codes.keys()], Math.min(codes.size, rng.int(1, 6)));
  return withQuestions(hay.join(rng.pick([" ", "\n"])), asked.map((k) => [`What is the code of the ${k}? It is`, ` ${codes.get(k)}`, "."]));
}

/** A dense list of keys and values, then keys to look up: associative recall at every distance at once. */
export function lookup(rng, pairs) {
  const side = Math.ceil(Math.sqrt(pairs)) + 2;
  const pool = { adjectives: rng.sample(ADJECTIVES, side), nouns: rng.sample(NOUNS, side) };
  const codes = new Map();
  while (codes.size < pairs) codes.set(key(rng, pool), rng.digits(3));
  const asked = rng.sample([...codes.keys()], Math.min(pairs, rng.int(2, 10)));
  return withQuestions([...codes].map(([k, v]) => `${k}: ${v}`).join("\n"), asked.map((k) => [`${k} ->`, ` ${codes.get(k)}`, ""]));
}

function withQuestions(body, questions) {
  let text = `${body}\n`;
  let prompt = "";
  for (const [ask, answer, end] of questions) {
    prompt = `${text}\n${ask}`;
    text = prompt + answer + end;
  }
  return { text, prompt, answer: questions[questions.length - 1][1] };
}

export function needleDocument(rng) {
  return rng.chance(0.65) ? needle(rng, rng.int(200, 3300)) : lookup(rng, rng.int(4, 90));
}
