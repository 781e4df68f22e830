/** The session's values as seen by V8's inspector: answered also while a cell runs, and refused where looking would change something. */
import type { MainInspector } from "../interrupt/main-inspector.ts";
import type { LiveValues } from "./language.ts";

interface RemoteObject {
  type: string;
  subtype?: string;
  className?: string;
  description?: string;
  value?: unknown;
  objectId?: string;
}

interface PropertyDescriptor {
  name: string;
  value?: RemoteObject;
  get?: RemoteObject;
  symbol?: unknown;
}

const GROUP = "moescope-live";
const TIMEOUT_MS = 100;

export class InspectorLiveValues implements LiveValues {
  readonly #inspector: MainInspector;

  constructor(inspector: MainInspector) {
    this.#inspector = inspector;
  }

  async names(): Promise<string[]> {
    const { names } = await this.#inspector.post<{ names: string[] }>("Runtime.globalLexicalScopeNames");
    return names;
  }

  async properties(expression: string): Promise<{ name: string; type: string }[] | null> {
    const value = await this.#value(expression);
    if (!value) return null;
    const found = new Map<string, string>();
    try {
      if (value.type === "string") await this.#ofPrototype("String.prototype", found);
      else if (value.type === "number") await this.#ofPrototype("Number.prototype", found);
      else if (value.objectId) await this.#chain(value.objectId, found);
    } finally {
      await this.#release();
    }
    return [...found].map(([name, type]) => ({ name, type }));
  }

  async describe(expression: string): Promise<string | null> {
    const value = await this.#value(expression);
    if (!value) return null;
    await this.#release();
    const text =
      value.description ?? (value.type === "string" ? JSON.stringify(value.value) : String(value.value ?? value.type));
    const line = text.split("\n", 1)[0];
    return line.length > 200 ? `${line.slice(0, 200)}…` : line;
  }

  async #value(expression: string): Promise<RemoteObject | null> {
    try {
      const reply = await this.#inspector.post<{ result: RemoteObject; exceptionDetails?: unknown }>(
        "Runtime.evaluate",
        {
          expression: `(${expression}\n)`,
          throwOnSideEffect: true,
          silent: true,
          timeout: TIMEOUT_MS,
          objectGroup: GROUP,
        },
      );
      return reply.exceptionDetails ? null : reply.result;
    } catch {
      return null;
    }
  }

  /** Own properties, then those of each prototype. */
  async #chain(objectId: string, found: Map<string, string>): Promise<void> {
    for (let id: string | undefined = objectId; id; ) {
      const reply: { result: PropertyDescriptor[]; internalProperties?: { name: string; value?: RemoteObject }[] } =
        await this.#inspector.post("Runtime.getProperties", { objectId: id, ownProperties: true });
      for (const p of reply.result) {
        if (p.symbol || found.has(p.name) || p.name === "__proto__" || /^\d+$/.test(p.name)) continue;
        found.set(p.name, p.value?.type === "function" ? "function" : (p.value?.type ?? "property"));
      }
      id = reply.internalProperties?.find((p) => p.name === "[[Prototype]]")?.value?.objectId;
    }
  }

  async #ofPrototype(prototype: string, found: Map<string, string>): Promise<void> {
    const value = await this.#value(prototype);
    if (value?.objectId) await this.#chain(value.objectId, found);
  }

  async #release(): Promise<void> {
    await this.#inspector.post("Runtime.releaseObjectGroup", { objectGroup: GROUP }).catch(() => {});
  }
}
