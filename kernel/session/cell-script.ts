/**
 * A cell's TypeScript to the script that runs it: `async ($moescope) => { ... }` in the main context. Top-level names are not declared in there but in
 * script scope, once for the whole session, so that every later cell sees them, anything may be redefined by anything, and hot loops stay fast
 * (getters or a proxy in their place cost a factor of 20 to 200).
 */
import MagicString from "magic-string";
import { type Node, type Program, parseSync } from "oxc-parser";
import { transformSync } from "oxc-transform";
import { bindingNames, children } from "./syntax.ts";

/** The name of the cell function's parameter: what the rewritten text needs of the session (see CellSupport in session.ts). */
export const SUPPORT = "$moescope";

export interface EncodedMap {
  version: number;
  mappings: string;
  sources: (string | null)[];
  names: string[];
}

export interface CellScript {
  /** An expression that gives the cell's function. */
  text: string;
  /** Top-level names the cell declares, as they stand in script scope. */
  names: string[];
  /** Names the cell declares that stand there under another. */
  renamed: string[];
  /** Does it import anything, now or when its functions run? */
  imports: boolean;
  /** From the script's positions back to the cell's, innermost last. Made on demand: only errors need them. */
  maps(): EncodedMap[];
}

/** The cell does not parse. `start` and `end` are offsets in the cell. */
export class CellSyntaxError extends SyntaxError {
  override name = "SyntaxError";
  readonly start: number;
  readonly end: number;
  constructor(message: string, start: number, end: number) {
    super(message);
    this.start = start;
    this.end = end;
    this.stack = `SyntaxError: ${message}`;
  }
}

/**
 * Which names the session knows. Script-scope variables shadow globals for every script and module of the process, so a cell's `const URL = 5` would
 * take URL from the engine and from packages. Such a name gets another one in script scope.
 */
export interface NameTable {
  /** Earlier cells declared them, under `scriptName`. */
  readonly renamed: ReadonlySet<string>;
  /** May not be declared as it is. */
  isTaken(name: string): boolean;
}

/** The script-scope name of a cell's name that is taken. */
export const scriptName = (name: string): string => `${name}$`;

export function compileCell(code: string, table: NameTable = { renamed: new Set(), isTaken: () => false }): CellScript {
  const js = quickly(code);
  if (js) {
    const { edit, ...found } = rewrite(js.code, js.program, table);
    return { ...found, text: edit.toString(), maps: () => [mapOf(edit), transformed(code).map as EncodedMap] };
  }
  const prepared = prepareTypeScript(code);
  const { errors, code: text, map } = transformed(prepared.text, prepared.using);
  const failure = errors.find((e) => e.severity === "Error");
  if (failure) throw new CellSyntaxError(failure.message, failure.labels[0]?.start ?? 0, failure.labels[0]?.end ?? 0);
  const { edit, ...found } = rewrite(
    text,
    parseSync("cell.js", text, { lang: "js", sourceType: "module" }).program,
    table,
  );
  return {
    ...found,
    text: edit.toString(),
    maps: () => [mapOf(edit), map as EncodedMap, ...(prepared.edit ? [mapOf(prepared.edit)] : [])],
  };
}

const mapOf = (edit: MagicString): EncodedMap => edit.generateMap({ hires: "boundary" }) as EncodedMap;

const transformed = (text: string, using = false, sourcemap = true) =>
  transformSync("cell.ts", text, {
    lang: "ts",
    sourceType: "module",
    // `using` is lowered (V8 of Node 20 does not parse it); everything older runs as it is.
    target: using ? "es2024" : "esnext",
    helpers: { mode: "External" as never },
    sourcemap,
    // By default imports that look unused are removed, so a cell that only imports would do nothing.
    typescript: { onlyRemoveTypeImports: true },
  });

/** A cell in which nothing is wrong and that needs no preparing; a tree and a map less than the long way. */
function quickly(code: string): { code: string; program: Program } | null {
  if (/^\s*\{|\busing\b/.test(code)) return null;
  const js = transformed(code, false, false);
  if (js.errors.length) return null;
  const { errors, program } = parseSync("cell.js", js.code, {
    lang: "js",
    sourceType: "module",
    showSemanticErrors: true,
  });
  return errors.length ? null : { code: js.code, program };
}

/** Syntax errors, and what must happen before types are removed: a top-level `using` lives on after the cell, `{ a: 1 }` alone is an object. */
function prepareTypeScript(code: string): { text: string; edit?: MagicString; using: boolean } {
  const literal = /^\s*\{[\s\S]*\}\s*$/.test(code) && parses(`(${code}\n)`);
  if (literal) {
    const edit = new MagicString(code).prepend("(").append("\n)");
    return { text: edit.toString(), edit, using: false };
  }
  const parsed = parseSync("cell.ts", code, { lang: "ts", sourceType: "module", showSemanticErrors: true });
  const error = parsed.errors.find((e) => e.severity === "Error");
  if (error) throw new CellSyntaxError(error.message, error.labels[0]?.start ?? 0, error.labels[0]?.end ?? 0);
  if (!/\busing\b/.test(code)) return { text: code, using: false };
  const edit = new MagicString(code);
  for (const node of parsed.program.body) {
    if (node.type !== "VariableDeclaration" || (node.kind !== "using" && node.kind !== "await using")) continue;
    edit.overwrite(node.start, node.declarations[0].start, "const ");
    for (const { id, init } of node.declarations) {
      const name = JSON.stringify(bindingNames(id)[0]);
      edit
        .appendLeft(init!.start, `${SUPPORT}.using(${name}, ${node.kind === "await using"}, `)
        .appendRight(init!.end, ")");
    }
  }
  return { text: edit.toString(), edit, using: true };
}

const parses = (code: string): boolean =>
  !parseSync("cell.ts", code, { lang: "ts", sourceType: "module" }).errors.some((e) => e.severity === "Error");

interface Rewriting {
  edit: MagicString;
  /** Identifiers that occur. */
  used: Set<string>;
  /** Names in the cell to names in script scope. */
  renamed: ReadonlyMap<string, string>;
  imports: boolean;
}

function rewrite(
  js: string,
  program: Program,
  table: NameTable,
): { edit: MagicString; names: string[]; renamed: string[]; imports: boolean } {
  const declared = program.body.flatMap((node) => [...declaredNames(node)]);
  const renamed = new Map([...table.renamed].map((name) => [name, scriptName(name)]));
  for (const name of declared) if (table.isTaken(name)) renamed.set(name, scriptName(name));
  const names = [...new Set(declared.map((name) => renamed.get(name) ?? name))];
  const r: Rewriting = { edit: new MagicString(js), used: new Set(), renamed, imports: false };
  const { edit } = r;
  const last = program.body.findLast((node) => !saysNothing(node));
  for (const statement of program.body as Node[]) {
    let node = statement;
    if (node.type === "ImportDeclaration") continue;
    if (
      node.type === "ExportNamedDeclaration" ||
      node.type === "ExportDefaultDeclaration" ||
      node.type === "ExportAllDeclaration"
    ) {
      const inner = exported(node);
      edit.remove(node.start, inner ? inner.start : node.end);
      if (!inner) continue;
      node = inner;
    }
    visit(node, r, null);
    topLevel(node, r, statement === last);
  }
  // Imports come first, in their order. What stands there already cannot be moved there.
  let top = 0;
  for (const node of program.body) {
    if (node.type !== "ImportDeclaration") continue;
    r.imports = true;
    edit.overwrite(node.start, node.end, importText(node, js, r));
    if (node.start === top) top = node.end;
    else edit.move(node.start, node.end, top);
  }
  edit.prepend(`(async (${SUPPORT}, babelHelpers) => {"use strict";`).append("\n})");
  return { edit, names, renamed: declared.filter((name) => renamed.has(name)), imports: r.imports };
}

/** The transform closes a module without imports with `export {}`. */
const saysNothing = (node: Node): boolean =>
  node.type === "EmptyStatement" || (node.type === "ExportNamedDeclaration" && !node.declaration && !node.source);

/** What is exported stays as a plain declaration or expression. */
function exported(node: Node): Node | null {
  if (node.type === "ExportNamedDeclaration" && !node.source) return node.declaration ?? null;
  if (node.type === "ExportDefaultDeclaration") return node.declaration;
  if ("source" in node && node.source) {
    throw new CellSyntaxError("A cell cannot re-export another module. Import what you need from it.", 0, 0);
  }
  return null;
}

function topLevel(node: Node, { edit, renamed }: Rewriting, last: boolean): void {
  const nameOf = (id: { name: string }): string => renamed.get(id.name) ?? id.name;
  switch (node.type) {
    case "VariableDeclaration":
      assignments(node, edit, true);
      break;
    case "FunctionDeclaration": {
      // Anonymous, so that its own name means the session's variable, also when a later cell redefines it.
      if (!node.id) return;
      edit.remove(node.id.start, node.id.end);
      edit.prependRight(node.start, `${nameOf(node.id)} = `).appendLeft(node.end, ";");
      if (node.start > 0) edit.move(node.start, node.end, 0);
      break;
    }
    case "ClassDeclaration":
      if (!node.id) return;
      edit.prependRight(node.start, `${nameOf(node.id)} = `).appendLeft(node.end, ";");
      break;
    case "ExpressionStatement":
      if (last) edit.prependRight(node.start, "return (").overwrite(node.expression.end, node.end, ");");
      break;
    default:
      if (last && isExpression(node)) edit.prependRight(node.start, "return (").appendLeft(node.end, ")");
  }
}

/** `export default <expression>`. */
const isExpression = (node: Node): boolean => /(Expression|Literal|Identifier)$/.test(node.type);

/** `let a = 1, b;` to `a = 1, b = void 0;`. As a statement, not in the head of a loop, a pattern needs parentheses and a `let` without a value gets undefined. */
function assignments(
  node: Extract<Node, { type: "VariableDeclaration" }>,
  edit: MagicString,
  statement: boolean,
): void {
  edit.remove(node.start, node.declarations[0].start);
  node.declarations.forEach((d, i) => {
    const pattern = d.id.type !== "Identifier";
    if (pattern && statement) edit.prependRight(d.start, "(").appendLeft(d.end, ")");
    if (!d.init && statement && node.kind !== "var") edit.appendLeft(d.end, " = void 0");
    if (i > 0 && !statement && pattern) edit.prependRight(d.start, "(").appendLeft(d.end, ")");
    if (isEnum(d)) {
      // A new enum does not take over the members of an older one of that name.
      const argument = (d.init as { arguments: Node[] }).arguments[0];
      edit.overwrite(argument.start, argument.end, "{}");
    }
  });
}

/** `var E = function (E) { ... }(E || {})`, as the transform writes an enum. */
function isEnum(d: { id: Node; init?: Node | null }): boolean {
  const argument = d.init?.type === "CallExpression" ? d.init.arguments[0] : undefined;
  return (
    d.id.type === "Identifier" &&
    argument?.type === "LogicalExpression" &&
    argument.left.type === "Identifier" &&
    argument.left.name === d.id.name
  );
}

/** Names a top-level statement declares; `var` outside functions belongs to the session too. */
function* declaredNames(node: Node, nested = false): Generator<string> {
  if (node.type === "ImportDeclaration") for (const s of node.specifiers) yield s.local.name;
  else if (node.type === "VariableDeclaration") {
    if (!nested || node.kind === "var") for (const d of node.declarations) yield* bindingNames(d.id);
  } else if (node.type === "FunctionDeclaration" || node.type === "ClassDeclaration") {
    if (!nested && node.id) yield node.id.name;
    return;
  }
  const exports = node.type === "ExportNamedDeclaration" || node.type === "ExportDefaultDeclaration";
  if (!ownsVariables(node)) for (const child of children(node)) yield* declaredNames(child, nested || !exports);
}

const ownsVariables = (node: Node): boolean => /Function|StaticBlock|PropertyDefinition/.test(node.type);

/** Everything below a top-level statement: names, nested `var`, `import.meta`, `import()`. */
function visit(node: Node, r: Rewriting, parent: Node | null, inFunction = false): void {
  if (node.type === "Identifier") {
    r.used.add(node.name);
    const to = r.renamed.get(node.name);
    if (to) r.edit.update(node.start, node.end, isShorthand(node, parent) ? `${node.name}: ${to}` : to);
    return;
  }
  if (node.type === "ImportExpression") r.imports = true;
  else if (node.type === "MetaProperty" && node.meta.name === "import") {
    r.edit.overwrite(node.start, node.end, `${SUPPORT}.meta`);
    return;
  }
  const within = inFunction || ownsVariables(node);
  for (const child of children(node)) {
    if (child.type === "VariableDeclaration" && child.kind === "var" && !within) {
      assignments(child, r.edit, !/^For(In|Of)?Statement$/.test(node.type));
    }
    if (!isPlainName(child, node)) visit(child, r, node, within);
  }
}

/** `{ name }`, also `{ name = 1 }` in a pattern: the key must stay. */
const isShorthand = (node: Node, parent: Node | null): boolean =>
  (parent?.type === "Property" && parent.shorthand) ||
  (parent?.type === "AssignmentPattern" && parent.left === node && shorthandPatterns.has(parent));

const shorthandPatterns = new WeakSet<Node>();

/** An identifier that names no variable: a property, a key, a label. */
function isPlainName(child: Node, parent: Node): boolean {
  switch (parent.type) {
    case "MemberExpression":
      return child === parent.property && !parent.computed;
    case "Property":
      if (parent.shorthand) {
        if (parent.value.type === "AssignmentPattern") shorthandPatterns.add(parent.value);
        return child === parent.key && child !== (parent.value as Node);
      }
      return child === parent.key && !parent.computed;
    case "MethodDefinition":
    case "PropertyDefinition":
    case "AccessorProperty":
      return child === parent.key && !parent.computed;
    case "LabeledStatement":
    case "BreakStatement":
    case "ContinueStatement":
      return child === parent.label;
    default:
      return false;
  }
}

function importText(
  node: Extract<Node, { type: "ImportDeclaration" }>,
  js: string,
  { used, renamed }: Rewriting,
): string {
  const source = js.slice(node.source.start, node.source.end);
  const attributes = node.attributes
    .map((a) => `${js.slice(a.key.start, a.key.end)}: ${js.slice(a.value.start, a.value.end)}`)
    .join(", ");
  const module = `await import(${source}${attributes ? `, { with: { ${attributes} } }` : ""})`;
  if (node.specifiers.length === 0) return `${module};`;
  const members: string[] = [];
  const required: string[] = [];
  let text = "";
  for (const s of node.specifiers) {
    const local = renamed.get(s.local.name) ?? s.local.name;
    if (s.type === "ImportNamespaceSpecifier") {
      text += `${local} = ${module};`;
      continue;
    }
    const imported =
      s.type === "ImportDefaultSpecifier"
        ? "default"
        : s.imported.type === "Literal"
          ? String(s.imported.value)
          : s.imported.name;
    members.push(`${JSON.stringify(imported)}: ${local}`);
    // A name that may be a type alone is not missed.
    if (used.has(s.local.name) || imported === "default") required.push(imported);
  }
  if (members.length === 0) return text;
  return `${text}({ ${members.join(", ")} } = ${SUPPORT}.imported(${module}, ${source}, ${JSON.stringify(required)}));`;
}
