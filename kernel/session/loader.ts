/**
 * Module hooks, in Node's own loader thread: what `import` finds from a cell. Our own names lead to this installation; local TypeScript files are
 * transformed; a local file that has changed, or that imports one that has, is loaded anew.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import type { LoadFnOutput, LoadHookContext, ResolveFnOutput, ResolveHookContext } from "node:module";
import { dirname, resolve as resolvePath } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { transformModule } from "./positions.ts";

/** dist/, or the repository's root when run from source. */
const OWN = new URL("../../", import.meta.url).href;
const NAMES: Record<string, string> = {
  moescope: new URL("../../engine/index.js", import.meta.url).href,
  tslab: new URL("../display/tslab.js", import.meta.url).href,
};
const TYPESCRIPT = /\.[cm]?tsx?$/;
const HELPERS = new URL("./scope.js", import.meta.url).href;

export async function resolve(
  specifier: string,
  context: ResolveHookContext,
  next: (specifier: string, context?: Partial<ResolveHookContext>) => ResolveFnOutput | Promise<ResolveFnOutput>,
): Promise<ResolveFnOutput> {
  const own = NAMES[specifier];
  if (own) return next(own, context);
  const local = localFile(specifier, context.parentURL);
  let resolved: ResolveFnOutput;
  try {
    resolved = await next(local ?? specifier, context);
  } catch (error) {
    if (!isMissing(error) || /^[./]|^\w+:/.test(specifier)) throw error;
    // A package that only the kernel has (apache-arrow, say) serves a notebook whose folder has none.
    try {
      resolved = await next(specifier, { ...context, parentURL: import.meta.url });
    } catch {
      throw error;
    }
  }
  return isUserFile(resolved.url) && isUserParent(context.parentURL)
    ? { ...resolved, url: `${resolved.url}?v=${version(fileURLToPath(resolved.url))}` }
    : resolved;
}

export async function load(
  url: string,
  context: LoadHookContext,
  next: (url: string, context?: Partial<LoadHookContext>) => LoadFnOutput | Promise<LoadFnOutput>,
): Promise<LoadFnOutput> {
  const path = url.split("?")[0];
  if (!path.startsWith("file:") || !TYPESCRIPT.test(path) || path.includes("/node_modules/")) return next(url, context);
  const file = fileURLToPath(path);
  const { code, errors } = transformModule(file, readFileSync(file, "utf8"));
  const error = errors.find((e) => e.severity === "Error");
  if (error) throw new SyntaxError(`${file}: ${error.message}\n${error.codeframe ?? ""}`);
  const helpers = code.includes("babelHelpers.")
    ? `;import { usingContext as $using } from "${HELPERS}"; const babelHelpers = { usingCtx: $using };`
    : "";
  return { format: "module", source: code + helpers, shortCircuit: true };
}

/** `./util` may be util.ts or util/index.ts, `./util.js` may stand for util.ts, as TypeScript resolves them. */
function localFile(specifier: string, parent: string | undefined): string | null {
  if (!/^\.{0,2}\//.test(specifier) || !parent?.startsWith("file:")) return null;
  const path = resolvePath(dirname(fileURLToPath(parent.split("?")[0])), specifier);
  const candidates = [
    path,
    `${path}.ts`,
    `${path}.mts`,
    path.replace(/\.js$/, ".ts"),
    path.replace(/\.mjs$/, ".mts"),
    `${path}/index.ts`,
  ];
  const found = candidates.find((c) => existsSync(c) && statSync(c).isFile());
  return found ? pathToFileURL(found).href : null;
}

const isMissing = (error: unknown): boolean => (error as { code?: string }).code === "ERR_MODULE_NOT_FOUND";

const isUserFile = (url: string): boolean =>
  url.startsWith("file:") && !url.includes("/node_modules/") && !url.startsWith(OWN) && !/\.(node|cjs)$/.test(url);

const isUserParent = (url: string | undefined): boolean =>
  url !== undefined && (/\/moescope-cell-\d+\.ts$/.test(url) || url.includes("?v="));

/** Changes when the file does, or any local file that it imports. */
function version(file: string): string {
  const seen = new Set<string>();
  let stamp = 0;
  const visit = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    const time = statSync(path).mtimeMs;
    stamp = (stamp * 31 + time) % Number.MAX_SAFE_INTEGER;
    for (const dependency of dependencies(path, time)) visit(dependency);
  };
  visit(file);
  return Math.floor(stamp).toString(36);
}

const known = new Map<string, { time: number; files: string[] }>();
const IMPORTS = /\b(?:from|import)\s*\(?\s*["'](\.{1,2}\/[^"'\n]+)["']/g;

/** Too many are found rather than too few: a mention in a comment costs a look at a file. */
function dependencies(file: string, time: number): string[] {
  const entry = known.get(file);
  if (entry?.time === time) return entry.files;
  const parent = pathToFileURL(file).href;
  const text = /\.([cm]?[jt]sx?)$/.test(file) ? readFileSync(file, "utf8") : "";
  const files = [...text.matchAll(IMPORTS)].flatMap(([, specifier]) => {
    const url = localFile(specifier, parent);
    return url ? [fileURLToPath(url)] : [];
  });
  known.set(file, { time, files });
  return files;
}
