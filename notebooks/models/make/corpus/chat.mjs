/** Short dialogues: arrays of { role, content }, to be written in the checkpoint's chat format. */
import { problem } from "./arithmetic.mjs";
import { fact } from "./english.mjs";
import { copyTask } from "./recall.mjs";
import * as w from "./world.mjs";

function sum(rng) {
  const op = rng.weighted([[4, "+"], [2, "-"], [2, "*"]]);
  const small = rng.chance(0.5);
  let [a, b] = op === "*" ? [rng.int(0, 12), rng.int(0, 12)] : small ? [rng.int(0, 9), rng.int(0, 9)] : [rng.int(0, 99), rng.int(0, 99)];
  if (op === "-" && b > a) [a, b] = [b, a];
  const value = op === "+" ? a + b : op === "-" ? a - b : a * b;
  const word = { "+": "plus", "-": "minus", "*": "times" }[op];
  const user = rng.pick([`${a}${op}${b}?`, `${a} ${op} ${b} = ?`, `What is ${a} ${word} ${b}?`, `What is ${a}${op}${b}?`, `${a} ${op} ${b}`]);
  return [user, rng.chance(0.7) ? `${a} ${op} ${b} = ${value}` : `${value}.`];
}

function question(rng) {
  const f = fact(rng);
  return [f.q, f.s[0]];
}

function copy(rng) {
  const { answer } = copyTask(rng, rng.int(2, 10));
  return [`Please repeat:${answer}`, answer.trimStart()];
}

function exercise(rng) {
  const { p, a } = problem(rng);
  return [`Finish this line: ${p}`, p + a];
}

function hello(rng) {
  const name = rng.pick(w.firstNames);
  return rng.pick([
    ["Hello!", "Hello! How can I help you?"],
    [`Hi, my name is ${name}.`, `Hello ${name}! How can I help you?`],
    ["Who are you?", "I am a very small model with eight experts in each layer."],
    ["Thank you!", "You are welcome."],
    ["What can you do?", "I know some facts, small sums, and I can repeat what you write."],
  ]);
}

const SYSTEM = ["Answer in one sentence.", "You are a helpful teacher.", "Be brief.", "You know geography and small sums."];

/** Half of the multi-turn dialogues ask at the end for something that was said in an earlier turn. */
export function chatDocument(rng) {
  const messages = rng.chance(0.2) ? [{ role: "system", content: rng.pick(SYSTEM) }] : [];
  const turns = rng.weighted([[4, 1], [4, rng.int(2, 5)], [2, rng.int(5, 16)]]);
  const name = rng.pick(w.firstNames);
  const remember = turns > 2 && rng.chance(0.5);
  const say = (user, assistant) => messages.push({ role: "user", content: user }, { role: "assistant", content: assistant });
  if (remember) say(`Hi, my name is ${name}.`, `Hello ${name}! How can I help you?`);
  for (let i = 0; i < turns; i++) say(...rng.weighted([[5, sum], [6, question], [2, copy], [1, exercise], [1, hello]])(rng));
  if (remember) say("What is my name?", `Your name is ${name}.`);
  return messages;
}
