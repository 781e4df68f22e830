/** The names a cell declares at its top level and those it may mention. */
import { type Node, parseSync } from "oxc-parser";
import { bindingNames, children } from "../session/syntax.ts";

/** How a later cell gets at the name: a variable is declared again (so that it can be assigned), everything else is imported. */
export type NameKind = "let" | "const" | "alias";

export interface CellNames {
  declared: Map<string, NameKind>;
  /** Names that the cell's own `export` statements export already. */
  exported: Set<string>;
  /** Relative paths that the cell imports. */
  files: string[];
}

const PLACEHOLDER = "\u01C3moescope";

/**
 * @param cursor Where the user is typing: a text that does not parse, such as `at.layer(3).`, usually does with a name in that place.
 */
export function namesOf(code: string, cursor?: number): CellNames {
  let body = parse(code);
  if (!body && cursor !== undefined) body = parse(`${code.slice(0, cursor)}${PLACEHOLDER}${code.slice(cursor)}`);
  if (!body) return { declared: declaredInBroken(code), exported: new Set(), files: [] };
  const names: CellNames = { declared: new Map(), exported: new Set(), files: [] };
  for (const statement of body) collect(statement, names);
  return names;
}

function parse(code: string): Node[] | null {
  const { program, errors } = parseSync("cell.ts", code, { sourceType: "module" });
  // The parser gives up on a text it cannot mend, and then its tree is empty.
  return errors.length && !program.body.length ? null : (program.body as unknown as Node[]);
}

function collect(node: Node, names: CellNames): void {
  const declare = (name: string, kind: NameKind) => {
    // `interface Foo` beside `const Foo`: only an import brings both.
    names.declared.set(name, names.declared.has(name) && names.declared.get(name) !== kind ? "alias" : kind);
  };
  switch (node.type) {
    case "VariableDeclaration": {
      const kind = node.kind === "let" || node.kind === "var" ? "let" : "const";
      for (const { id } of node.declarations) for (const name of bindingNames(id)) declare(name, kind);
      break;
    }
    case "ImportDeclaration":
      for (const { local } of node.specifiers) declare(local.name, "alias");
      if (/^\.\.?\//.test(node.source.value)) names.files.push(node.source.value);
      break;
    case "FunctionDeclaration":
    case "TSDeclareFunction":
    case "ClassDeclaration":
    case "TSEnumDeclaration":
    case "TSModuleDeclaration":
    case "TSInterfaceDeclaration":
    case "TSTypeAliasDeclaration":
    case "TSImportEqualsDeclaration":
      // `declare module "x"` and `declare global` declare nothing here.
      if (node.id?.type === "Identifier" && node.id.name !== "global") declare(node.id.name, "alias");
      break;
    case "ExportNamedDeclaration":
      for (const { exported } of node.specifiers)
        names.exported.add(exported.type === "Literal" ? String(exported.value) : exported.name);
      if (node.declaration) {
        const inner: CellNames = { declared: new Map(), exported: new Set(), files: [] };
        collect(node.declaration, inner);
        for (const [name, kind] of inner.declared) {
          declare(name, kind);
          names.exported.add(name);
        }
      }
      break;
    case "ExportDefaultDeclaration":
      collect(node.declaration, names);
      break;
    default:
      hoisted(node, declare);
  }
}

/** A `var` belongs to the cell however deep it stands, unless a function holds it. */
function hoisted(node: Node, declare: (name: string, kind: NameKind) => void): void {
  if (/Function|Class|TSModule/.test(node.type)) return;
  for (const child of children(node)) {
    if (child.type === "VariableDeclaration" && child.kind === "var")
      for (const { id } of child.declarations) for (const name of bindingNames(id)) declare(name, "let");
    hoisted(child, declare);
  }
}

const DECLARATION =
  /^(?:export\s+)?(?:declare\s+)?(?:(let|var|const|using)|(?:async\s+)?function\s*\*?|(?:abstract\s+)?class|(?:const\s+)?enum|interface|type|namespace)\s+([\p{ID_Start}$_][\p{ID_Continue}$]*)/gmu;

/** A guess for text that does not parse: declarations that begin a line. */
function declaredInBroken(code: string): Map<string, NameKind> {
  const found = new Map<string, NameKind>();
  for (const [, variable, name] of code.matchAll(DECLARATION))
    found.set(name, variable ? (variable === "let" || variable === "var" ? "let" : "const") : "alias");
  return found;
}

/** Every word of the text that could be a name. Too many do no harm: what is imported and not used is not an error. */
export function mentionedIn(code: string): Set<string> {
  return new Set(code.match(/[\p{ID_Start}$_][\p{ID_Continue}$]*/gu) ?? []);
}

/** A cell that is nothing but `{ … }` and reads as an object. */
export function isObjectLiteral(code: string): boolean {
  return (
    /^\s*\{[\s\S]*\}\s*$/.test(code) &&
    parseSync("cell.ts", `(${code}\n)`, { sourceType: "module" }).errors.length === 0
  );
}
