import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { describe, it } from "node:test";
import type { Diagnostic } from "../../kernel/bridge/language.ts";
import { completeness } from "../../kernel/language/completeness.ts";
import { alive } from "../../kernel/language/completion.ts";
import { renderDiagnostics } from "../../kernel/language/diagnostics.ts";
import { inspection } from "../../kernel/language/inspection.ts";
import { Disconnected, JsonRpc, RpcError, TimedOut } from "../../kernel/language/jsonrpc.ts";
import { mentionedIn, namesOf } from "../../kernel/language/names.ts";

const declared = (code: string, cursor?: number) => Object.fromEntries(namesOf(code, cursor).declared);

describe("names of a cell", () => {
  it("tells variables, which are assigned again, from what is imported", () => {
    const code = `import fs, { a as b, type T } from "x"; import * as ns from "./y.ts";
      let { c, d: [e = 1, ...f], ...g } = q; var h; const i = 1; using j = k;
      function l() { let inner; } class M {} enum N { A } interface O {} type P = 1; namespace Q { export const r = 1 }`;
    const alias = ["fs", "b", "T", "ns", "l", "M", "N", "O", "P", "Q"];
    assert.deepEqual(declared(code), {
      ...Object.fromEntries(alias.map((name) => [name, "alias"])),
      ...{ c: "let", e: "let", f: "let", g: "let", h: "let", i: "const", j: "const" },
    });
    assert.deepEqual(namesOf(code).files, ["./y.ts"]);
  });
  it("imports a type and a value of one name together", () => {
    assert.deepEqual(declared("interface Foo {} const Foo = 1"), { Foo: "alias" });
  });
  it("leaves out what the cell exports itself", () => {
    const names = namesOf("export const a = 1; const b = 2; export { b as c }; export default class D {}");
    assert.deepEqual([...names.declared.keys()], ["a", "b", "D"]);
    assert.deepEqual([...names.exported], ["a", "c"]);
  });
  it("knows the declarations of a text that does not parse yet", () => {
    assert.deepEqual(declared("const x = 1;\nx.", 15), { x: "const" });
    assert.deepEqual(declared("let y = {;\nasync function f( {\n"), { y: "let", f: "alias" });
    assert.deepEqual(declared("declare global { var z: number } declare module 'm' {}"), {});
  });
  it("hoists var out of blocks, not out of functions", () => {
    assert.deepEqual(
      declared("for (var i = 0; ;) { if (i) { var j; let k; } } function f() { var n }\nconst g = () => { var o }"),
      { i: "let", j: "let", f: "alias", g: "const" },
    );
  });
  it("finds every mention, whatever the script", () => {
    assert.deepEqual([...mentionedIn("$a.b + _c['d'] // è変数")], ["$a", "b", "_c", "d", "è変数"]);
  });
});

describe("isComplete", () => {
  const cases: [string, string, string?][] = [
    ["", "complete"],
    ["1 + 1", "complete"],
    ["const x = await f();\nx", "complete"],
    ["for await (const x of y) {}", "complete"],
    ["x // comment", "complete"],
    ["f(", "incomplete", "  "],
    ["if (x) {", "incomplete", "  "],
    ["if (x) {\n  y(", "incomplete", "    "],
    ["const a = {\n  b: [1, 2],", "incomplete", "  "],
    ["1 +", "incomplete", ""],
    ["x.", "incomplete", ""],
    ["if (a) {}\nelse", "incomplete", ""],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the cell's
    ["`text ${a}", "incomplete", ""],
    ["/* note", "incomplete", ""],
    ["try {}", "incomplete", ""],
    ["function f(s = '{') {", "incomplete", "  "],
    [")", "invalid"],
    ["'abc", "invalid"],
    ["f(]", "invalid"],
    ["a b", "invalid"],
    ["let 5x = 1", "invalid"],
  ];
  for (const [code, status, indent] of cases) {
    it(`${JSON.stringify(code)} is ${status}`, () =>
      assert.deepEqual(completeness(code), status === "incomplete" ? { status, indent } : { status }));
  }
});

const fault = (line: number, column: number, to: number, more: Partial<Diagnostic> = {}): Diagnostic => ({
  severity: "error",
  code: 2551,
  message: "No 'rezid' here.",
  related: [],
  start: { line, column },
  end: { line, column: to },
  ...more,
});

describe("rendered type errors", () => {
  it("shows place, line and squiggle", () => {
    assert.equal(
      renderDiagnostics("a;\n\tat.rezid;", [fault(1, 4, 9, { related: ["'resid' is declared here."] })], {
        name: "cell 3",
      }),
      "cell 3, line 2, column 5: No 'rezid' here. (TS2551)\n  2 | \tat.rezid;\n    | \t   ~~~~~\n    'resid' is declared here.",
    );
  });
  it("stays short and says what it left out", () => {
    const text = renderDiagnostics("abc", Array(12).fill(fault(0, 0, 3)), { limit: 2 });
    assert.equal(text.match(/~~~/g)!.length, 2);
    assert.match(text, /and 10 more type errors$/);
  });
  it("has colours only when asked", () => {
    assert.ok(!renderDiagnostics("abc", [fault(0, 0, 3)]).includes("\x1b"));
    assert.ok(renderDiagnostics("abc", [fault(0, 0, 3)], { color: true }).includes("\x1b[33m~~~"));
  });
});

describe("live values", () => {
  const live = {
    names: async () => ["model", "mode", "x"],
    properties: async (expression: string) =>
      expression === 'm.layers[3]["a b"]'
        ? ["gate", "not-a-name", "toString", "valueOf"].map((name) => ({ name, type: "property" }))
        : null,
    describe: async () => null,
  };
  const at = async (code: string) => (await alive(live, code, code.length)).items.map((item) => item.text);
  it("complete names and members of plain paths", async () => {
    assert.deepEqual(await at("1 + mo"), ["model", "mode"]);
    assert.deepEqual(await at('m.layers[3]["a b"].g'), ["gate"]);
    assert.deepEqual(await at('m.layers[3]["a b"].'), ["gate"]);
    assert.deepEqual(await at('m.layers[3]["a b"].to'), ["toString"]);
  });
  it("never look into a call, a string or an import", async () => {
    assert.deepEqual(await at("f().mo"), []);
    assert.deepEqual(await at("'mo"), []);
    assert.deepEqual(await at("import { mo"), []);
  });
});

describe("inspection", () => {
  it("drops links to declaration files and keeps code as it is", () => {
    const value =
      "```typescript\n(alias) f(a: { [Symbol.x](b: 1): 2 }): void\n```\nSee [`f`](file:///lib.d.ts#1) and [site](https://a.b).\n\n*@param* `a` it";
    const bundle = inspection({ contents: { value } }, null, "[Function f]")!;
    assert.equal(
      bundle["text/plain"],
      "f(a: { [Symbol.x](b: 1): 2 }): void\nSee `f` and site.\n\n@param `a` it\n\n= [Function f]",
    );
    assert.ok(!String(bundle["text/markdown"]).includes("file:"));
    assert.ok(String(bundle["text/markdown"]).includes("(https://a.b)"));
  });
  it("falls back to the signature, else says nothing", () => {
    assert.match(
      String(inspection(null, { signatures: [{ label: "f(a: number): void" }] }, null)!["text/plain"]),
      /^f\(a/,
    );
    assert.equal(inspection(null, null, null), null);
  });
});

describe("JSON-RPC framing", () => {
  const frame = (message: object) => {
    const body = Buffer.from(JSON.stringify({ jsonrpc: "2.0", ...message }));
    return Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`), body]);
  };
  const pair = () => {
    const input = new PassThrough();
    const output = new PassThrough();
    const asked: string[] = [];
    const rpc = new JsonRpc(input, output, (method) => {
      asked.push(method);
      return "seen";
    });
    return { input, output, asked, rpc };
  };
  it("puts messages together from any pieces", async () => {
    const { input, rpc, asked } = pair();
    const answers = [rpc.request("a", {}, 1000), rpc.request("b", {}, 1000)];
    const all = Buffer.concat([
      frame({ id: 2, result: "ü变".repeat(999) }),
      frame({ method: "note", params: {} }),
      frame({ id: 1, result: [] }),
    ]);
    for (let i = 0; i < all.length; i += 7) input.write(all.subarray(i, i + 7));
    assert.deepEqual(await Promise.all(answers), [[], "ü变".repeat(999)]);
    assert.deepEqual(asked, ["note"]);
  });
  it("answers the server, reports its refusals, and gives up at the limit or the end", async () => {
    const { input, output, rpc } = pair();
    input.write(frame({ id: 9, method: "workspace/configuration", params: {} }));
    const refused = rpc.request("a", {}, 1000);
    input.write(frame({ id: 1, error: { code: -32601, message: "no such method" } }));
    await assert.rejects(refused, (error) => error instanceof RpcError && error.code === -32601);
    assert.match(String(output.read()), /"id":9,"result":"seen"/);
    await assert.rejects(rpc.request("slow", {}, 5), TimedOut);
    const left = rpc.request("b", {}, 1000);
    rpc.close();
    await assert.rejects(left, Disconnected);
    await assert.rejects(rpc.request("c", {}, 1000), Disconnected);
  });
});
