/** The few types of JupyterLab and Lumino that we touch; the modules themselves come from JupyterLab at run time. */

export interface Widget {
  readonly node: HTMLElement;
  readonly isDisposed: boolean;
  addClass(name: string): void;
  dispose(): void;
}

export type WidgetClass = new () => Widget;

export interface MimeModel {
  readonly data: Record<string, unknown>;
}

export interface RendererOptions {
  readonly mimeType: string;
}

export interface RendererFactory {
  safe: boolean;
  mimeTypes: string[];
  createRenderer(options: RendererOptions): Widget;
}

export interface RenderMimeRegistry {
  addFactory(factory: RendererFactory, rank?: number): void;
}

/** What the container is given: every shared package by name, then by version. */
export type ShareScope = Record<string, Record<string, { get(): Promise<() => unknown> }>>;

/** The single version of a shared package that this JupyterLab runs. */
export async function shared<T>(scope: ShareScope, name: string): Promise<T> {
  const versions = Object.values(scope[name] ?? {});
  if (!versions[0]) throw new Error(`moescope: this front end does not share ${name}`);
  return (await versions[0].get())() as T;
}
