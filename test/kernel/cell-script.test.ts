/** The rewriting of cells, as text and as behaviour in a context of its own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import vm from "node:vm";
import { CellSyntaxError, compileCell, type NameTable } from "../../kernel/session/cell-script.ts";

/** A session in miniature: script scope in a fresh context. */
function session(table?: NameTable) {
  const context = vm.createContext({ log: [] as unknown[] });
  const declared = new Set<string>();
  return async (code: string): Promise<unknown> => {
    const script = compileCell(code, table);
    const fresh = script.names.filter((name) => !declared.has(name));
    if (fresh.length) vm.runInContext(`let ${fresh.join(", ")}`, context);
    for (const name of fresh) declared.add(name);
    const support = {
      using: (_: string, __: boolean, value: unknown) => value,
      imported: (m: unknown) => m,
      meta: { url: "file:///cell" },
    };
    return vm.runInContext(script.text, context)(support, {});
  };
}

test("declarations become assignments to names of the session", async () => {
  const run = session();
  assert.equal(await run("const a = 1, { b, ...c } = { b: 2, d: 3 }; let [e = 4] = []; a + b + c.d + e"), 10);
  assert.equal(await run("a + b + c.d + e"), 10);
  assert.equal(await run("let a: string; typeof a"), "undefined");
  assert.equal(await run("var kept = 1"), undefined);
  assert.equal(await run("var kept; kept"), 1, "var without a value leaves the old one, as in a script");
});

test("names of every kind of declaration are found, those of inner scopes are not", () => {
  const { names } = compileCell(`
    import d, { x as y, type T } from "m"; import * as ns from "n";
    const [p, { q: [r = 1], ...s }] = z; function f() { var inner; let inner2 } class K { static { var inStatic = 1 } }
    enum E { A } namespace N { export const v = 1 } interface I {} type U = 1; declare const ambient: number; abstract class B {}
    if (z) { var deep = 1; let shallow = 2; function inBlock() {} } for (var i of z); for (let j of z); try { var t } catch (err) { var u }
    label: while (z) { var w = 1; break label }
    (() => { var hidden })();
    export const exported = 1; export default class Named {}
  `);
  assert.deepEqual(
    names.toSorted(),
    [
      "B",
      "E",
      "K",
      "N",
      "Named",
      "d",
      "deep",
      "exported",
      "f",
      "i",
      "ns",
      "p",
      "r",
      "s",
      "t",
      "u",
      "w",
      "y",
    ].toSorted(),
  );
});

test("functions are hoisted and refer to each other through the session", async () => {
  const run = session();
  assert.equal(await run("const early = f(); function f() { return g() }\nfunction g() { return 'g' }\nearly"), "g");
  assert.equal(await run("function g() { return 'new g' }\nf()"), "new g");
  assert.equal(await run("f.name + (class Q {}).name"), "fQ");
  assert.equal(
    await run("class Late { static one = new Late(); who() { return Late } }\nLate.one.who() === Late"),
    true,
  );
  assert.equal(await run("async function* ag() { yield 5 }\nlet got; for await (const v of ag()) got = v; got"), 5);
});

test("a redefined enum has only its own members; parts in one cell merge", async () => {
  const run = session();
  await run("enum E { A = 1 }");
  assert.deepEqual(Object.keys((await run("enum E { B }\nE")) as object), ["0", "B"]);
  assert.deepEqual(Object.keys((await run("enum M { A }\nenum M { B = 1 }\nM")) as object).length, 4);
});

test("taken names get another in script scope, everywhere in the cell and in later ones", async () => {
  const renamed = new Set<string>();
  const table: NameTable = { renamed, isTaken: (name) => renamed.has(name) || name === "Map" };
  const { text, names } = compileCell(
    "const Map = 1; ({ Map, k: Map, Map2: { Map: 2 } }); x.Map; Map: for (;;) break Map; (Map) => Map",
    table,
  );
  assert.deepEqual(names, ["Map$"]);
  assert.match(text, /\{\s*Map: Map\$,\s*k: Map\$,\s*Map2: \{ Map: 2 \}/);
  assert.match(text, /x\.Map;/);
  assert.match(text, /\(Map\$\) => Map\$/);
  assert.deepEqual(
    compileCell("new Map()", table).text.includes("Map$"),
    false,
    "a global that no cell has redefined stays",
  );
  renamed.add("Map");
  assert.match(compileCell("Map + 1", table).text, /return \(Map\$ \+ 1\)/);
  assert.match(compileCell("({ Map = 5 }) => Map", table).text, /\{ Map: Map\$ = 5 \}/);
});

test("imports become dynamic ones, at the top, and ask only for what is used as a value", () => {
  const text = (code: string): string => compileCell(code).text;
  assert.match(text("import 'side'"), /await import\("side"\);/);
  assert.match(
    text("use(a); import { a, T } from 'm'"),
    /^[^;]*;\(\{ "a": a, "T": T \} = \$moescope\.imported\(await import\("m"\), "m", \["a"\]\)\);[\s\S]*use\(a\)/,
  );
  assert.match(text("import d, * as ns from 'm'; d"), /ns = await import\("m"\);.*"default": d/);
  assert.match(
    text("import j from './x.json' with { type: 'json' }"),
    /import\("\.\/x\.json", \{ with: \{ type: "json" \} \}\)/,
  );
  assert.doesNotMatch(text("import type { T } from 'm'; 1"), /import\(/);
  assert.equal(compileCell("const f = () => import('x')").imports, true);
  assert.equal(compileCell("1 + 1").imports, false);
  assert.match(text("import.meta.url"), /\$moescope\.meta\.url/);
});

test("errors say where, in the cell's own text", () => {
  const cases: [string, string][] = [
    ["let x = (1 + ;", ";"],
    ["let a = 1; let a = 2", "a"],
    ["return 5", "return"],
    ["export * from 'm'", ""],
    ["if (", ""],
  ];
  for (const [code, at] of cases) {
    assert.throws(
      () => compileCell(code),
      (error: unknown) =>
        error instanceof CellSyntaxError && error.message.length > 5 && code.startsWith(at, error.start),
      code,
    );
  }
});

test("random cells of valid pieces always compile to a script that V8 accepts", () => {
  let seed = 7;
  const random = (n: number): number => (seed = (seed * 48271) % 2147483647) % n;
  const pieces = [
    "const v1: number = 1",
    "let { a: v2 = 2, ...v3 } = { a: 1 }",
    "function v4(this: any, x?: number) { return x! }",
    "class v5<T> extends Object { private y?: T }",
    "enum v6 { A, B = 'b' }",
    "for (var v7 = 0; v7 < 1; v7++);",
    "if (1) { var [v8] = [1] } else { let v9 = 1 }",
    "await 1",
    "export const v10 = 1",
    "import v11, { b as v12 } from 'm'",
    "using v13 = null",
    "namespace v14 { export const z = 1 }",
    "({ v1: 1 } as any).v1",
    "'text'",
    "`t`",
    "// only a comment\n",
    "{ using v15 = null }",
    "type v16 = number",
    "async () => { await using v17 = null }",
    "v18: for (const x of []) continue v18",
    "[1, 2]",
    "/re/.test('x')",
    "var v19",
    "abstract class v20 { abstract m(): void }",
    ";",
  ];
  for (let round = 0; round < 500; round++) {
    const chosen = Array.from({ length: 1 + random(6) }, () => pieces[random(pieces.length)]).filter(
      (p, i, all) => all.indexOf(p) === i,
    );
    const code = chosen.join(random(2) ? ";\n" : "\n;");
    const { text } = compileCell(code, { renamed: new Set(["v2"]), isTaken: (name) => name === "v4" || name === "v2" });
    assert.doesNotThrow(() => new vm.Script(text), `${code}\n=>\n${text}`);
  }
});
