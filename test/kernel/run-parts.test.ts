import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  type Notebook,
  type NotebookCell,
  NotebookError,
  notebookOf,
  notebookText,
  readNotebook,
  writeWhole,
} from "../../kernel/run/notebook.ts";
import { OutputCollector } from "../../kernel/run/outputs.ts";
import { ansiToHtml } from "../../kernel/run/page/ansi.ts";
import { notebookPage } from "../../kernel/run/page/page.ts";
import { sanitizeHtml } from "../../kernel/run/page/sanitize.ts";

const code = (source: string, more: object = {}) => ({
  cell_type: "code",
  id: "c1",
  metadata: {},
  source,
  outputs: [],
  execution_count: null,
  ...more,
});
const file = (cells: object[], more: object = {}) =>
  JSON.stringify({ cells, metadata: {}, nbformat: 4, nbformat_minor: 5, ...more });

describe("notebook files", () => {
  it("come back byte for byte as Jupyter wrote them", () => {
    const text = readFileSync("test/kernel/fixtures/jupyter.ipynb", "utf8");
    assert.equal(notebookText(readNotebook(text, "jupyter.ipynb")), text);
  });
  it("keep ids, and get them where they are missing, doubled or invalid", () => {
    const cells = [
      code("a", { id: "keep-1" }),
      code("b", { id: "keep-1" }),
      code("c", { id: "not valid" }),
      code("d", { id: undefined }),
    ];
    const ids = readNotebook(file(cells, { nbformat_minor: 4 }), "x").cells.map((cell) => cell.id);
    assert.equal(ids[0], "keep-1");
    assert.equal(new Set(ids).size, 4);
    for (const id of ids) assert.match(id, /^[\w-]{1,64}$/);
  });
  it("say what is wrong with them", () => {
    for (const [text, message] of [
      ["{", /x: not a notebook, since it is not JSON/],
      ["[]", /it has no "nbformat"/],
      ['{"nbformat":3,"worksheets":[]}', /notebook format 3; this reads format 4/],
      ['{"nbformat":4}', /no list of "cells"/],
      [file([{ cell_type: "heading" }]), /cell 1 has the unknown type "heading"/],
      [file([code("a"), { cell_type: "code", source: 5 }]), /cell 2 has no "source" text/],
      [file([null as never]), /cell 1 is not an object/],
    ] as const) {
      assert.throws(
        () => readNotebook(text, "x"),
        (error) => error instanceof NotebookError && message.test(error.message),
        text,
      );
    }
  });
  it("are written whole, through links, with their permissions", () => {
    const folder = mkdtempSync(join(tmpdir(), "moescope-test-"));
    writeFileSync(join(folder, "real"), "old", { mode: 0o640 });
    symlinkSync("real", join(folder, "link"));
    writeWhole(join(folder, "link"), "new");
    assert.equal(readFileSync(join(folder, "real"), "utf8"), "new");
    assert.equal(statSync(join(folder, "real")).mode & 0o777, 0o640);
    assert.deepEqual(readdirSync(folder).sort(), ["link", "real"]);
    rmSync(folder, { recursive: true });
  });
});

describe("collected outputs", () => {
  const make = () => ({ cell: notebookOf("x").cells[0] as NotebookCell, outputs: new OutputCollector() });
  const shown = (data: object, id?: string, update = false) =>
    ({ type: "display", data, metadata: {}, id, update }) as never;
  it("joins streams of one name", () => {
    const { cell, outputs } = make();
    for (const [name, text] of [
      ["stdout", "a"],
      ["stdout", "b"],
      ["stderr", "c"],
      ["stdout", "d"],
    ] as const)
      outputs.stream(cell, name, text);
    assert.deepEqual(
      cell.outputs!.map((o) => "text" in o && o.text),
      ["ab", "c", "d"],
    );
  });
  it("updates displays wherever they are", () => {
    const { cell, outputs } = make();
    const other = notebookOf("y").cells[0];
    outputs.output(cell, shown({ "text/plain": "1" }, "id"));
    outputs.output(other, shown({ "text/plain": "2" }, "id"));
    outputs.output(other, shown({ "text/plain": "3" }, "id", true));
    for (const each of [cell, other])
      assert.deepEqual(each.outputs, [{ output_type: "display_data", data: { "text/plain": "3" }, metadata: {} }]);
    outputs.output(cell, shown({ "text/plain": "4" }, "nobody", true));
    assert.equal(cell.outputs!.length, 1);
  });
  it("clears now, or when the next output comes", () => {
    const { cell, outputs } = make();
    outputs.stream(cell, "stdout", "a");
    outputs.output(cell, { type: "clear", wait: true });
    assert.equal(cell.outputs!.length, 1);
    outputs.stream(cell, "stdout", "b");
    assert.deepEqual(cell.outputs, [{ output_type: "stream", name: "stdout", text: "b" }]);
    outputs.output(cell, { type: "clear", wait: false });
    assert.deepEqual(cell.outputs, []);
  });
});

describe("sanitised HTML", () => {
  const cases: [string, string][] = [
    ["<b>a</b> &lt; <i>b", "<b>a</b> &lt; <i>b</i>"],
    ["a < b && c", "a &lt; b &amp;&amp; c"],
    ["<script>alert(1)</script>x", "x"],
    ["<SCRIPT >a</script\n>x", "x"],
    ["<style>p{}</style><svg><script>1</script></svg>ok", "ok"],
    ["<img src=x onerror=alert(1)>", "<img>"],
    ['<img src="data:image/png;base64,AA==" width=5 onload="x">', '<img src="data:image/png;base64,AA==" width="5">'],
    ['<img src="data:text/html,x">', "<img>"],
    ['<a href="javascript:alert(1)">x</a>', "<a>x</a>"],
    ['<a href="&#106;ava&#x0A;script:alert(1)">x</a>', "<a>x</a>"],
    ['<a href=" \u0001javascript:x">x</a>', "<a>x</a>"],
    ['<a href="https://a.b/?q=1&amp;r=2">x</a>', '<a href="https://a.b/?q=1&#38;r=2">x</a>'],
    ['<a href="notes.html#x">x</a>', '<a href="notes.html#x">x</a>'],
    ['<span style="color:red;position:fixed;background:url(x)">x</span>', '<span style="color:red">x</span>'],
    ['<span style="background-color:rgb(1, 2, 3)">x</span>', '<span style="background-color:rgb(1, 2, 3)">x</span>'],
    ["</div></div>x", "x"],
    ["<table><tr><td>1</table>", "<table><tr><td>1</td></tr></table>"],
    ["<iframe src=x></iframe><object data=x></object>y", "y"],
    ['<p title="a>b">x', '<p title="a&#62;b">x</p>'],
    ["<!-- <script> -->x<!-- open", "x"],
    ["<b<script>alert(1)</script>", "alert(1)"],
    ["<form action=x><input></form>x", "x"],
    ["<<b>b</b>", "&lt;<b>b</b>"],
    ["<script", "&lt;script"],
  ];
  for (const [raw, clean] of cases) it(JSON.stringify(raw), () => assert.equal(sanitizeHtml(raw), clean));
  it("lets nothing through that could run, whatever the pieces", () => {
    const pieces = [
      "<",
      ">",
      "script",
      "</",
      "/",
      "img",
      " onerror=",
      "=",
      '"',
      "'",
      "javascript:",
      "a",
      "<!--",
      "-->",
      "\n",
      "<svg",
      "style",
      "&lt;",
      "\0",
      "b ",
      "href=",
    ];
    let seed = 7;
    const next = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
    for (let round = 0; round < 3000; round++) {
      const clean = sanitizeHtml(Array.from({ length: 12 }, () => pieces[next(pieces.length)]).join(""));
      // Read as a browser would: tags, then what stands between quotes.
      for (const [tag] of clean.matchAll(/<[^>]*>/g)) {
        assert.match(tag, /^<\/?[a-z0-9]+(?: [a-z]+="[^"<>]*")*>$/, clean);
        assert.doesNotMatch(tag, /^<\/?(?:script|svg|style|iframe)|on\w+=|javascript:/i, clean);
      }
      assert.doesNotMatch(clean.replace(/<[^>]*>/g, ""), /[<>]/, clean);
    }
  });
});

describe("terminal text as HTML", () => {
  it("has classes for colours and ends them", () => {
    assert.equal(
      ansiToHtml("\x1b[1;31mError\x1b[0m: <x>"),
      '<span class="ansi-bold ansi-fg-red">Error</span>: &#60;x&#62;',
    );
    assert.equal(
      ansiToHtml("\x1b[38;2;1;2;3ma\x1b[39mb\x1b[38;5;196mc"),
      '<span style="color:rgb(1,2,3)">a</span>b<span style="color:rgb(255,0,0)">c</span>',
    );
  });
  it("drops other control sequences and overwritten text", () => {
    assert.equal(ansiToHtml("\x1b[2K\x1b]0;title\x0710%\r20%\nend\r"), "20%\nend");
  });
});

describe("the page", () => {
  const cell = (more: object): Notebook["cells"][number] =>
    ({ cell_type: "code", id: "a", metadata: {}, source: "1", outputs: [], execution_count: 1, ...more }) as never;
  const page = (...cells: Notebook["cells"]) =>
    notebookPage({ cells, metadata: {}, nbformat: 4, nbformat_minor: 5 }, "file <name>");
  const display = (data: object, metadata = {}) => cell({ outputs: [{ output_type: "display_data", data, metadata }] });
  it("is self-contained and runs nothing", () => {
    const html = page(
      cell({
        cell_type: "markdown",
        source: "# Head *line*\n\n<script>x</script>\n\n[l](javascript:1) ![p](https://a.b/c.png)",
      }),
      display({ "text/html": "<script>1</script><b>ok</b>" }),
    );
    assert.match(html, /<title>Head line<\/title>/);
    assert.match(html, /default-src 'none'/);
    assert.match(html, /<b>ok<\/b>/);
    assert.doesNotMatch(html, /<script|javascript:|(?:src|href)="http/);
    assert.match(html, /prefers-color-scheme: dark/);
  });
  it("shows the richest form that needs no script", () => {
    assert.match(
      page(
        display(
          { "application/vnd.plotly.v1+json": {}, "image/png": "AA==\n", "text/plain": "bars\n2" },
          { "image/png": { width: 300 } },
        ),
      ),
      /<img src="data:image\/png;base64,AA==" alt="bars" width="300">/,
    );
    assert.match(
      page(display({ "text/html": "<script>draw()</script>", "image/svg+xml": "<svg onload='x'/>" })),
      /<img src="data:image\/svg\+xml;base64,/,
    );
    assert.match(
      page(display({ "text/html": "<table></table>", "text/plain": "rows" })),
      /<pre class="result">rows<\/pre>/,
    );
    assert.match(page(display({ "text/markdown": "*m*" })), /<em>m<\/em>/);
    assert.match(page(display({ "application/json": { a: 1 } })), /&#34;a&#34;: 1/);
    assert.match(page(display({ "x/y": "?" })), /\[x\/y\]/);
  });
  it("colours code and shows streams and errors", () => {
    const outputs = [
      { output_type: "stream", name: "stderr", text: "\x1b[33mwarn\x1b[0m" },
      { output_type: "error", ename: "E", evalue: "v", traceback: ["\x1b[31mE\x1b[0m: v"] },
    ];
    const html = page(cell({ source: 'const a = "<x>"', outputs, execution_count: 12 }));
    assert.match(
      html,
      /<span class="hl-keyword">const<\/span> a = <span class="hl-string">&#34;&#60;x&#62;&#34;<\/span>/,
    );
    assert.match(html, /stderr"><span class="ansi-fg-yellow">warn/);
    assert.match(html, /class="error"><span class="ansi-fg-red">E<\/span>: v/);
    assert.match(html, /\[12\]/);
  });
});
