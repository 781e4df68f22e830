// The real language server, in a folder of its own, against a small typed package and the user's own files.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Language } from "../../kernel/bridge/language.ts";
import { createLanguage } from "../../kernel/language/language.ts";
import { LanguageServer } from "../../kernel/language/server.ts";
import { Workspace } from "../../kernel/language/workspace.ts";

const live = {
  names: async () => [] as string[],
  properties: async () => null,
  describe: async () => "Float32Array(3)",
};

let root: string;
let folder: string;
let language: Language;
let count = 0;

/** Type errors as `line:column code message`, after which the cell counts as run. */
async function cell(code: string): Promise<string[]> {
  const found = await language.check({ count: ++count, code });
  language.accept({ count, code });
  return found.map(
    (d) =>
      `${d.start.line}:${d.start.column} ${d.code} ${d.message}${d.related.length ? ` | ${d.related.join(" | ")}` : ""}`,
  );
}

/** Completion at the `|`. */
async function complete(marked: string) {
  const cursor = marked.indexOf("|");
  const code = marked.replace("|", "");
  const { items, start, end } = await language.complete(code, cursor);
  return { texts: items.map((item) => item.text), replaced: code.slice(start, end), items };
}

function packageAt(path: string, types: string) {
  mkdirSync(path, { recursive: true });
  // The compiler takes two packages of one name and version for one.
  const main = { types: "./index.d.ts", default: "./index.js" };
  writeFileSync(
    join(path, "package.json"),
    JSON.stringify({ name: basename(path), version: "1.0.0", type: "module", exports: main }),
  );
  writeFileSync(join(path, "index.d.ts"), types);
}

before(() => {
  root = mkdtempSync(join(tmpdir(), "moescope-test-"));
  // Whatever a folder may be called.
  folder = join(root, "deep/my notes (1) [é] #5% @x");
  mkdirSync(folder, { recursive: true });
  packageAt(
    join(folder, "node_modules/sites"),
    `interface Resid { readonly pre: string; readonly post: string }
     interface Layer { readonly resid: Resid; readonly router: { readonly logits: string } }
     /** The sites of a model. */
     export declare const at: { layer(index: number): Layer };
     export declare function load(name: string): Promise<{ layers: number }>;
     export {};`,
  );
  packageAt(join(root, "node_modules/above"), "export declare const above: 7;");
  writeFileSync(join(folder, "util.ts"), "export function util(a: number): string { return String(a) }");
  writeFileSync(join(root, "deep/up.ts"), "export const up = 5 as const;");
  language = createLanguage({ folder, live });
});

after(async () => {
  await language.close();
  rmSync(root, { recursive: true, force: true });
});

describe("language server", () => {
  it("resolves packages here and above, files here and above, and Node", async () => {
    assert.deepEqual(
      await cell(`import { at, load } from "sites"; import { above } from "above"; import { util } from "./util.ts"; import { up } from "../up.ts"; import { readFileSync } from "node:fs";
        const seven: 7 = above; const five: 5 = up; util(1).length; readFileSync("/x", "utf8").length; setTimeout(() => {}, 1); await fetch("x"); new URL("x:y");`),
      [],
    );
    assert.match((await cell('import { x } from "nowhere"'))[0], /^0:18 2307 Cannot find module 'nowhere'/);
  });

  it("falls back on the kernel's own packages, as the session does", async () => {
    assert.deepEqual(
      await cell('import { tableFromArrays } from "apache-arrow"; tableFromArrays({ a: [1] }).numRows.toFixed();'),
      [],
    );
  });

  it("completes the sites of a layer, and a wrong name does not compile", async () => {
    assert.deepEqual((await complete("at.layer(3).|")).texts, ["resid", "router"]);
    assert.deepEqual((await complete("at.layer(3).|\nconst next = 1")).texts, ["resid", "router"]);
    const { texts, replaced } = await complete("at.layer(3).resid.po|");
    assert.deepEqual([texts, replaced], [["post"], "po"]);
    const [error] = await cell("1;\nat.layer(3).rezid");
    assert.match(error, /^1:12 2551 Property 'rezid' does not exist on type 'Layer'. Did you mean 'resid'\?/);
  });

  it("says when an await was forgotten", async () => {
    assert.match((await cell('load("x").layers'))[0], /Did you forget to use 'await'\?$/);
  });

  it("lets any name be declared again as anything, and variables be assigned", async () => {
    assert.deepEqual(
      await cell("let v = 1; const c = 2; function f() { return 1 } class K { a = 1 } enum E { A } type T = { t: 1 }"),
      [],
    );
    assert.deepEqual(await cell("v = 5; f().toFixed(); new K().a; const e: E = E.A; const t: T = { t: 1 };"), []);
    assert.match((await cell('v = "text"'))[0], /^0:0 2322/);
    assert.match((await cell("c = 3"))[0], /2588 Cannot assign to 'c' because it is a constant/);
    assert.deepEqual(
      await cell('const f = "now a string"; class c {} function v() {} let K = [f]; const E = 1; interface T { u: 2 }'),
      [],
    );
    assert.deepEqual(await cell("f.length; new c(); v(); K[0].length; E.toFixed(); const u: T = { u: 2 };"), []);
  });

  it("keeps the type of `export`ed and of `using` declarations", async () => {
    assert.deepEqual(
      await cell(
        "export const ex = 1; export default class Def { d = 1 }\nusing res = { [Symbol.dispose]() {}, open: true };",
      ),
      [],
    );
    assert.deepEqual(await cell("ex.toFixed(); new Def().d; res.open;"), []);
  });

  it("is not strict where notebooks are loose", async () => {
    assert.deepEqual(
      await cell("let found = []; let later; function add(a, b = 1) { return a + b } try {} catch (e) { e.message }"),
      [],
    );
    assert.deepEqual(await cell("found.push(1); found[0]; later = 3; add(1); const found = found.slice(1);"), []);
  });

  it("takes a lone { … } for an object, as the session does", async () => {
    assert.deepEqual(await cell("{ a: found, b: 2 }"), []);
    assert.match((await cell("\n{ a: found.b.c, d: 1..nope }"))[0], /^1:22 2339/);
  });

  it("points into the cell that declared what is meant", async () => {
    await cell("interface Wanted {\n  a: 1\n}");
    const at = count;
    assert.match(
      (await cell("const w: Wanted = { a: 2 }"))[0],
      new RegExp(`declared here on type 'Wanted' \\(cell ${at}, line 2\\)`),
    );
  });

  it("knows the library of this Node, and talks of Node instead of compiler options", async () => {
    const [error] = await cell('Symbol("x").nope; [1].toSorted(); globalThis.neverThere; document.title');
    assert.match(error, /2339|7017/);
    assert.match((await cell("document.title")).join(), /Cannot find name 'document'. Node \d+.* does not have it\./);
  });

  it("has declarations of the kernel's own globals", async () => {
    assert.deepEqual(
      await cell('display(5).update(6); display([], { id: "x" }); display.clear(); prompt("?")?.length; _;'),
      [],
    );
    assert.deepEqual(await cell('import * as tslab from "tslab"; tslab.display.html("<b>x</b>")'), []);
  });

  it("completes names being typed, keywords, paths and import names", async () => {
    assert.ok((await complete("const abc = { x: 1 };\nabc.|")).texts.includes("x"));
    assert.ok((await complete("fou|")).texts.includes("found"));
    assert.ok((await complete("awai|")).texts.includes("await"));
    assert.deepEqual((await complete('import { | } from "sites"')).texts.slice(0, 2), ["at", "load"]);
    assert.deepEqual((await complete('import "./ut|"')).texts, ["util.ts"]);
    assert.equal((await complete("JSON.|")).items.find((item) => item.text === "parse")?.type, "method");
  });

  it("shows types, documentation, signatures and the value", async () => {
    assert.match(
      String((await language.inspect("at.layer", 1, 0))!["text/plain"]),
      /const at: .*\n*[\s\S]*The sites of a model\./,
    );
    assert.match(String((await language.inspect('load("x", ', 10, 0))!["text/plain"]), /^load\(name: string\)/);
    assert.match(
      String((await language.inspect("later", 5, 1))!["text/plain"]),
      /let later: any[\s\S]*= Float32Array\(3\)/,
    );
    assert.equal(await language.inspect("   ", 1, 0), null);
  });

  it("counts columns in UTF-16, on the user's own lines", async () => {
    assert.match((await cell('const emoji = "🦙🦙"; emoji.nope\r\nemoji.nope'))[1], /^1:6 2339/);
  });

  it("sees a file of the user's own change", async () => {
    assert.deepEqual(await cell('import { util } from "./util.ts"; util(1);'), []);
    writeFileSync(join(folder, "util.ts"), "export function util(a: string): string { return a }");
    utimesSync(join(folder, "util.ts"), new Date(), new Date(Date.now() + 5_000));
    assert.match((await cell('import { util } from "./util.ts"; util(1);'))[0], /2345/);
  });

  it("sees a package that was installed meanwhile", async () => {
    assert.equal((await cell('import { late } from "late"; late.toFixed()')).length, 1);
    packageAt(join(folder, "node_modules/late"), "export declare const late: number;");
    assert.deepEqual(await cell('import { late } from "late"; late.toFixed()'), []);
    assert.deepEqual(await cell("found.length"), [], "what was declared before is still known");
  });

  it("survives what is not TypeScript at all", async () => {
    for (const code of ["", "}{", "\u0000", "`${", "class", "import", "a".repeat(100_000)]) await cell(code);
    assert.deepEqual(await cell("found.length"), []);
  });
});

describe("cells that use moescope", () => {
  const own = createLanguage({ folder: resolve("notebooks"), live });
  after(() => own.close());
  const typed = async (marked: string): Promise<string[]> => {
    const cursor = marked.indexOf("|");
    return (await own.complete(marked.replace("|", ""), cursor)).items.map((item) => item.text);
  };

  it("complete layers and sites, and refuse wrong ones", async () => {
    const setup = {
      count: 1,
      code: 'import { Model, at } from "moescope";\nconst m = await Model.load("tiny-scout");\nconst r = await m.run("Hello");',
    };
    assert.deepEqual(await own.check(setup), []);
    own.accept(setup);
    const sites = await typed("at.layer(3).|");
    for (const name of ["resid", "attn", "router", "expert", "shared"])
      assert.ok(sites.includes(name), `${name} among ${sites}`);
    assert.deepEqual(await typed("at.layer(3).resid.|"), ["mid", "post", "pre"]);
    assert.ok((await typed("r.plot.|")).includes("loadMap"));
    const found = await own.check({ count: 2, code: "at.layer(3).rezid; m.run('x').tokens" });
    assert.match(found[0].message, /'rezid' does not exist .* Did you mean 'resid'\?/);
    assert.match(found[1].related.join(), /forget to use 'await'/);
    assert.equal(found.length, 2);
  });
});

describe("the server's process", () => {
  const workspace = () => new Workspace(folder);

  it("is started again when it dies, with all documents", async () => {
    const place = workspace();
    const server = new LanguageServer(place);
    const uri = place.uri("cell1.ts");
    server.open(uri, "const x: string = 1");
    const ask = () =>
      server.ask<{ items: { code: number }[] }>("textDocument/diagnostic", { textDocument: { uri } }, 10_000);
    assert.deepEqual(
      (await ask())!.items.map((item) => item.code),
      [2322],
    );
    const first = server.pid!;
    process.kill(first, "SIGKILL");
    assert.deepEqual(
      (await ask())!.items.map((item) => item.code),
      [2322],
    );
    assert.notEqual(server.pid, first);
    await server.stop();
    place.remove();
  });

  it("is given up after dying three times in a minute, and answers are empty then", async () => {
    const place = workspace();
    const server = new LanguageServer(place);
    server.open(place.uri("a.ts"), "1");
    for (let i = 0; i < 3; i++) {
      await server.start();
      const pid = server.pid!;
      process.kill(pid, "SIGKILL");
      while (server.pid === pid) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const began = Date.now();
    assert.equal(
      await server.ask("textDocument/diagnostic", { textDocument: { uri: place.uri("a.ts") } }, 10_000),
      null,
    );
    assert.ok(Date.now() - began < 1_000);
    await server.stop();
    place.remove();
  });

  it("leaves nothing behind, and takes away what a killed kernel left", async () => {
    const stale = join(tmpdir(), "moescope-cells-999999999-x");
    mkdirSync(stale);
    const place = workspace();
    const made = place.folder;
    assert.ok(existsSync(join(made, "tsconfig.json")) && !existsSync(stale));
    place.remove();
    assert.ok(!existsSync(made));
    assert.deepEqual(readdirSync(folder).sort(), ["node_modules", "util.ts"], "nothing is written beside the notebook");
  });
});
