/** Which language a front end gets: TypeScript's own server where it is installed, else cells that run unchecked. */
import { createRequire } from "node:module";
import type { Language, LanguageOptions } from "../bridge/language.ts";

function hasTypeScript(): boolean {
  try {
    createRequire(import.meta.url).resolve("typescript/package.json");
    return true;
  } catch {
    return false;
  }
}

/** Either is loaded only here, when it is first needed. */
export async function openLanguage(options: LanguageOptions): Promise<Language> {
  if (hasTypeScript()) return (await import("./language.ts")).createLanguage(options);
  return (await import("./untyped.ts")).createUntyped(options);
}
