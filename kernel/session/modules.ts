/** Switches the module hooks on before the first cell that imports anything (they cost a thread, so a kernel that starts does not wait for them). */
import module from "node:module";

let registered = false;

export function registerModuleHooks(): void {
  if (registered) return;
  registered = true;
  module.register("./loader.js", import.meta.url);
}

/** The names that an import statement wants, from the module's namespace. */
export function imported(namespace: Record<string, unknown>, source: string, names: readonly string[]): unknown {
  for (const name of names) {
    if (name in namespace) continue;
    const close = Object.keys(namespace).filter((key) => key.toLowerCase().startsWith(name.slice(0, 3).toLowerCase()));
    const hint = close.length ? ` Did you mean ${close.slice(0, 3).join(", ")}?` : "";
    throw new SyntaxError(`The module "${source}" has no export named "${name}".${hint}`);
  }
  return namespace;
}
