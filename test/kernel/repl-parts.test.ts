import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Assist } from "../../kernel/frontends/terminal/assist.ts";
import { Editor, type Key } from "../../kernel/frontends/terminal/editor.ts";
import { layout } from "../../kernel/frontends/terminal/layout.ts";
import { LiveDisplays } from "../../kernel/frontends/terminal/live-displays.ts";
import { commonPrefix, Menu } from "../../kernel/frontends/terminal/menu.ts";
import { Recall } from "../../kernel/frontends/terminal/recall.ts";
import { Screen } from "../../kernel/frontends/terminal/screen.ts";
import { fit, textWidth } from "../../kernel/frontends/terminal/width.ts";
import { tokens } from "../../kernel/language/tokens.ts";
import { Terminal } from "./support/terminal.ts";

const key = (name: string): Key => {
  const [, ctrl, alt, bare] = /^(C-)?(M-)?(.+)$/.exec(name)!;
  return {
    name: bare,
    text: bare.length === 1 && !ctrl && !alt ? bare : "",
    ctrl: Boolean(ctrl),
    alt: Boolean(alt),
    shift: false,
  };
};
/** Types into an editor; `|` in the result is the cursor. */
const edited = (text: string, ...keys: string[]): string => {
  const editor = new Editor();
  editor.set(text.replace("|", ""), text.includes("|") ? text.indexOf("|") : text.length);
  for (const name of keys) editor.press(key(name));
  return `${editor.text.slice(0, editor.cursor)}|${editor.text.slice(editor.cursor)}`;
};

describe("editor", () => {
  const cases: [string, string[], string][] = [
    ["", ["a", "b"], "ab|"],
    ["ab|c", ["left", "x"], "ax|bc"],
    ["foo.bar|", ["C-left"], "foo.|bar"],
    ["foo.bar|", ["M-b", "M-b"], "|foo.bar"],
    ["a |foo bar", ["M-f"], "a foo| bar"],
    ["one two|", ["C-w"], "one |"],
    ["one| two", ["C-k"], "one|"],
    ["one two|", ["C-u", "C-y", "C-y"], "one twoone two|"],
    ["  ab|c", ["home"], "  |abc"],
    ["  |abc", ["home"], "|  abc"],
    ["a|bc\nd", ["end"], "abc|\nd"],
    ["abcd|\nx\nabcd", ["down", "down"], "abcd\nx\nabcd|"],
    ["x\nab|", ["up"], "x|\nab"],
    ["👩‍👩‍👧|", ["backspace"], "|"],
    ["é|", ["left"], "|é"],
    ["{\n    |", ["backspace"], "{\n  |"],
    ["ab|", ["C-d"], "ab|"],
    ["|ab", ["delete"], "|b"],
    ["a|", ["b", "c", "C-_"], "a|"],
    ["one |", ["t", "C-w", "C-_"], "one t|"],
    ["", ["C-_", "left", "right", "backspace", "C-k", "C-y", "up", "down"], "|"],
  ];
  for (const [before, keys, after] of cases)
    it(`${JSON.stringify(before)} ${keys.join(" ")}`, () => assert.equal(edited(before, ...keys), after));
  it("leaves keys that are not its own, and up and down at the borders", () => {
    const editor = new Editor();
    editor.set("a");
    for (const name of ["C-x", "f5", "escape", "up", "down"]) assert.equal(editor.press(key(name)), false, name);
    assert.equal(editor.text, "a");
  });
});

describe("recall", () => {
  it("walks back and forth and keeps what was being typed", () => {
    const recall = new Recall(["a", "b", "b"]);
    assert.deepEqual([recall.previous("draft"), recall.previous("b"), recall.previous("a")], ["b", "a", null]);
    assert.deepEqual([recall.next(), recall.next(), recall.next()], ["b", "draft", null]);
  });
  it("searches newest first, each text once", () => {
    const recall = new Recall(["Model.load", "x", "model.run", "x", "Model.load"]);
    assert.deepEqual(
      [0, 1, 2].map((n) => recall.search("model", n)),
      ["Model.load", "model.run", null],
    );
    assert.equal(recall.search("", 0), null);
  });
});

describe("columns", () => {
  it("counts graphemes as terminals draw them", () => {
    for (const [text, width] of [
      ["abc", 3],
      ["日本", 4],
      ["🦙", 2],
      ["é", 1],
      ["👩‍👩‍👧", 2],
      ["\u200b", 0],
      ["ｱ", 1],
    ] as const)
      assert.equal(textWidth(text), width, text);
    assert.equal(fit("日本語", 5), "日本…");
  });
  it("wraps by itself, and finds the cursor's place", () => {
    const none = () => ({ text: "> ", style: "" });
    const at = (text: string, cursor: number) => layout([{ text, style: "" }], 6, cursor, none);
    assert.deepEqual(at("abcdef", 6), { rows: ["> abcd", "ef"], row: 1, column: 2 });
    assert.deepEqual(at("abcd", 4), { rows: ["> abcd", ""], row: 1, column: 0 });
    assert.deepEqual(at("a\nb", 2), { rows: ["> a", "> b"], row: 1, column: 2 });
    assert.deepEqual(at("日本語", 3), { rows: ["> 日本", "語"], row: 1, column: 2 });
    assert.deepEqual(at("\t\x01", 2).rows, ["> \x20\x20\x20\x20", "^A"]);
  });
  it("ends a style with its row", () => {
    const { rows } = layout([{ text: "ab\ncd", style: "1" }], 80, -1, () => ({ text: "", style: "" }));
    assert.deepEqual(rows, ["\x1b[1mab\x1b[0m", "\x1b[1mcd\x1b[0m"]);
  });
});

describe("screen", () => {
  const make = () => {
    const terminal = new Terminal(80, 24);
    const screen = new Screen((text) => {
      terminal.write(text);
      return true;
    });
    const prompt = (text: string, below: string[] = []) =>
      screen.show({
        pieces: [{ text, style: "" }],
        cursor: text.length,
        before: (line) => ({ text: line ? "   " : "1> ", style: "" }),
        below,
      });
    return { terminal, screen, prompt };
  };
  it("prints above the prompt, and continues an unfinished line", () => {
    const { terminal, screen, prompt } = make();
    prompt("typing");
    screen.print("one\ntw");
    assert.equal(terminal.text, "one\ntw\n1> typing");
    screen.print("o\nthree");
    prompt("typing on");
    assert.equal(terminal.text, "one\ntwo\nthree\n1> typing on");
    assert.deepEqual(terminal.cursor, { row: 3, column: 12 });
  });
  it("shows the last state of a progress line", () => {
    const { terminal, screen, prompt } = make();
    prompt("x");
    for (const text of ["\r10 %", "\r20 %", "\rdone\n"]) screen.print(text);
    assert.equal(terminal.text, "done\n1> x");
  });
  it("takes the menu away, and leaves a text that was entered", () => {
    const { terminal, screen, prompt } = make();
    prompt("a.", ["first", "second"]);
    assert.equal(terminal.text, "1> a.\nfirst\nsecond");
    assert.deepEqual(terminal.cursor, { row: 0, column: 5 });
    prompt("a.b\nc");
    screen.keep();
    screen.print("result\n");
    prompt("");
    assert.equal(terminal.text, "1> a.b\n   c\nresult\n1>");
  });
  it("shows what changes between the output and the prompt, as far as there is room", () => {
    const { terminal, screen, prompt } = make();
    screen.print("out\nhalf");
    const view = (above: string[]) =>
      screen.show({
        pieces: [{ text: "typing", style: "" }],
        cursor: 0,
        before: () => ({ text: "1> ", style: "" }),
        above,
        below: ["hint"],
      });
    view(["30 %"]);
    assert.equal(terminal.text, "out\nhalf\n30 %\n1> typing\nhint");
    view([`60 % ${"x".repeat(100)}`]);
    assert.match(terminal.text, /^out\nhalf\n60 % x+…\n1> typing\nhint$/);
    view(Array.from({ length: 50 }, (_, i) => `row ${i}`));
    assert.ok(terminal.text.split("\n").length <= 24);
    assert.match(terminal.text, /row 49\n1> typing\nhint$/);
    prompt("");
    assert.equal(terminal.text, "out\nhalf\n1>");
  });
  it("keeps the cursor in view of a text longer than the terminal", () => {
    const { terminal, prompt } = make();
    prompt(Array.from({ length: 100 }, (_, i) => `line ${i}`).join("\n"));
    assert.match(terminal.text, /line 99$/);
    assert.ok(terminal.text.split("\n").length <= 24);
    prompt("short");
    assert.equal(terminal.text, "1> short");
  });
});

describe("displays that change", () => {
  const shown = (text: string, id?: string, update = false) => ({
    type: "display" as const,
    data: { "text/plain": text },
    metadata: {},
    id,
    update,
  });
  it("are printed once changed no more; the rest at once", () => {
    const live = new LiveDisplays();
    assert.equal(live.take(shown("a", "1")), "a");
    assert.equal(live.take(shown("b")), "b");
    assert.equal(live.take(shown("10 %", "progress-load")), null);
    assert.equal(live.take(shown("a2", "1", true)), null);
    assert.equal(live.take(shown("20 %", "progress-load", true)), null);
    assert.deepEqual(live.states, ["a2", "20 %"]);
    assert.deepEqual(live.end(false), ["a2"]);
    assert.deepEqual(live.end(true), []);
  });
});

describe("completion at the prompt", () => {
  const items = ["alpha", "alpine", "beta"].map((text) => ({ text, type: "variable" }));
  const language = {
    complete: async (text: string) => ({
      items: items.filter((i) => i.text.startsWith(text.slice(2))),
      start: 2,
      end: text.length,
    }),
  } as never;
  const make = (text: string) => {
    const editor = new Editor();
    editor.set(text);
    return {
      editor,
      assist: new Assist(editor, { language: async () => language, code: (text) => text }, () => {}),
    };
  };
  it("inserts the only one, else what all begin with, and then offers them", async () => {
    const one = make("x.b");
    await one.assist.complete();
    assert.deepEqual([one.editor.text, one.assist.open], ["x.beta", false]);
    const two = make("x.a");
    await two.assist.complete();
    assert.deepEqual([two.editor.text, two.assist.open], ["x.alp", true]);
    two.assist.press(key("tab"));
    two.assist.press(key("tab"));
    assert.equal(two.assist.press(key("return")), true);
    assert.deepEqual([two.editor.text, two.assist.open], ["x.alpine", false]);
  });
  it("goes on with typing: the choice is taken, a letter narrows, Escape drops", async () => {
    const chosen = make("x.");
    await chosen.assist.complete();
    chosen.assist.press(key("down"));
    assert.equal(chosen.assist.press(key(".")), false);
    assert.equal(chosen.editor.text, "x.alpha");
    const narrowed = make("x.");
    await narrowed.assist.complete();
    assert.equal(narrowed.assist.press(key("b")), true);
    await new Promise(setImmediate);
    assert.equal(narrowed.editor.text, "x.beta");
    const dropped = make("x.");
    await dropped.assist.complete();
    dropped.assist.press(key("down"));
    dropped.assist.press(key("escape"));
    assert.deepEqual([dropped.editor.text, dropped.assist.open], ["x.", false]);
  });
  it("says so when there is nothing, and indents an empty line", async () => {
    const none = make("x.zzz");
    await none.assist.complete();
    assert.deepEqual(none.assist.rows(80, false), ["no completions"]);
    const empty = make("f(\n");
    await empty.assist.complete();
    assert.equal(empty.editor.text, "f(\n  ");
  });
  it("shows a window on a long list", () => {
    const menu = new Menu({
      items: Array.from({ length: 30 }, (_, i) => ({ text: `name${i}`, type: "property" })),
      start: 0,
      end: 0,
    });
    assert.equal(menu.render(80, false).length, 9);
    menu.move(-1);
    assert.equal(menu.chosen, "name29");
    assert.match(menu.render(80, false).join("\n"), /> name29 {2}property\n {2}30\/30$/);
    menu.move(1);
    assert.equal(menu.chosen, "name0");
    menu.page(1);
    assert.equal(menu.chosen, "name8");
  });
  it("finds common beginnings", () => {
    assert.equal(commonPrefix(["abc", "abd", "ab"]), "ab");
    assert.equal(commonPrefix([]), "");
  });
});

describe("colours of code", () => {
  it("cover the text exactly", () => {
    for (const code of [
      "const a: Map<string, 5> = f(`x`) // c",
      "%types strict\n'open",
      "/* open",
      "a.class = 0x1f_n",
      "",
    ]) {
      assert.equal(
        tokens(code)
          .map(({ text }) => text)
          .join(""),
        code,
      );
    }
    assert.deepEqual(
      tokens("await f(1)").map(({ kind }) => kind),
      ["keyword", "plain", "call", "plain", "number", "plain"],
    );
  });
});
