/** TypeScript from a grammar: every name that is used was declared, and printed values are the true ones. */
import { capitalise } from "./world.mjs";

const NOUNS = "item user node token order point event value entry score word line page file task".split(" ");
const FIELDS = "id name size count total price label kind depth width height left right parent done".split(" ");
const VERBS = "load find update remove merge count filter parse build print check".split(" ");
const TYPES = "number string boolean number[] string[]".split(" ");

const literal = (rng, type) =>
  ({ number: () => String(rng.int(0, 99)), string: () => `"${rng.pick(NOUNS)}"`, boolean: () => String(rng.chance(0.5)) })[type]?.() ?? "[]";

function declareInterface(rng) {
  const name = capitalise(rng.pick(NOUNS));
  const fields = rng.sample(FIELDS, rng.int(2, 5));
  return `export interface ${name} {\n${fields.map((f) => `  ${f}${rng.chance(0.2) ? "?" : ""}: ${rng.pick(TYPES)};`).join("\n")}\n}`;
}

function sumFunction(rng) {
  const noun = rng.pick(NOUNS);
  const field = rng.pick(["size", "count", "total", "price", "width"]);
  const T = capitalise(noun);
  return rng.chance(0.5)
    ? `export function ${rng.pick(["sum", "total"])}${capitalise(field)}(${noun}s: ${T}[]): number {\n  let ${field} = 0;\n  for (const ${noun} of ${noun}s) {\n    ${field} += ${noun}.${field};\n  }\n  return ${field};\n}`
    : `export const ${field}Of = (${noun}s: ${T}[]): number => ${noun}s.reduce((sum, ${noun}) => sum + ${noun}.${field}, 0);`;
}

function findFunction(rng) {
  const noun = rng.pick(NOUNS);
  const key = rng.pick(["id", "name", "label", "kind"]);
  return `function find${capitalise(noun)}(${noun}s: ${capitalise(noun)}[], ${key}: string): ${capitalise(noun)} | undefined {\n  return ${noun}s.find((${noun}) => ${noun}.${key} === ${key});\n}`;
}

function asyncFunction(rng) {
  const noun = rng.pick(NOUNS);
  return `export async function load${capitalise(noun)}(path: string): Promise<${capitalise(noun)}> {\n  const text = await readFile(path, "utf8");\n  if (text.length === 0) throw new Error(\`empty file: \${path}\`);\n  return JSON.parse(text) as ${capitalise(noun)};\n}`;
}

function loop(rng) {
  const [n, step] = [rng.int(3, 8), rng.int(1, 5)];
  const op = rng.pick(["+", "*"]);
  const values = Array.from({ length: n }, (_, i) => (op === "+" ? i + step : i * step));
  return `const values: number[] = [];\nfor (let i = 0; i < ${n}; i++) {\n  values.push(i ${op} ${step});\n}\nconsole.log(values); // [${values.join(", ")}]`;
}

function printed(rng) {
  const [a, b] = [rng.int(1, 50), rng.int(1, 50)];
  const [x, y] = rng.sample(["a", "b", "x", "y", "left", "right", "width", "height"], 2);
  return `const ${x} = ${a};\nconst ${y} = ${b};\nconsole.log(${x} + ${y}); // ${a + b}`;
}

function classText(rng) {
  const noun = rng.pick(NOUNS);
  const [f, g] = rng.sample(["size", "count", "total", "depth"], 2);
  return `export class ${capitalise(noun)}List {\n  #${noun}s: ${capitalise(noun)}[] = [];\n  ${f} = ${rng.int(0, 9)};\n  ${g} = ${rng.int(0, 9)};\n\n  add(${noun}: ${capitalise(noun)}): void {\n    this.#${noun}s.push(${noun});\n    this.${f} += 1;\n  }\n\n  get length(): number {\n    return this.#${noun}s.length;\n  }\n}`;
}

function test(rng) {
  const [a, b] = [rng.int(0, 20), rng.int(0, 20)];
  const verb = rng.pick(VERBS);
  return `test("${verb} adds two numbers", () => {\n  assert.equal(${verb}(${a}, ${b}), ${a + b});\n});`;
}

function branch(rng) {
  const noun = rng.pick(NOUNS);
  const kinds = rng.sample(["red", "green", "blue", "open", "closed", "new", "old", "big", "small"], rng.int(2, 4));
  return `function ${rng.pick(VERBS)}${capitalise(noun)}(kind: ${kinds.map((k) => `"${k}"`).join(" | ")}): number {\n  switch (kind) {\n${kinds.map((k) => `    case "${k}":\n      return ${rng.int(0, 99)};`).join("\n")}\n  }\n}`;
}

function variables(rng) {
  return rng
    .sample(FIELDS, rng.int(2, 5))
    .map((f) => {
      const type = rng.pick(["number", "string", "boolean"]);
      return `${rng.pick(["const", "let"])} ${f}: ${type} = ${literal(rng, type)};`;
    })
    .join("\n");
}

const PARTS = [declareInterface, sumFunction, findFunction, asyncFunction, loop, printed, classText, test, branch, variables];

export function codeDocument(rng) {
  const n = rng.weighted([[3, 1], [3, rng.int(2, 4)], [2, rng.int(4, 9)]]);
  const parts = Array.from({ length: n }, () => rng.pick(PARTS)(rng));
  if (rng.chance(0.4)) {
    const imports = rng.sample([`import { readFile } from "node:fs/promises";`, `import test from "node:test";`, `import assert from "node:assert/strict";`, `import { join } from "node:path";`], rng.int(1, 3));
    parts.unshift(imports.join("\n"));
  }
  return parts.join("\n\n");
}
