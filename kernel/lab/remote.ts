// The module-federation container that JupyterLab asks for: `init` brings the shared packages, `get` returns a module.
// A classic script (no import, no export): JupyterLab loads it with a <script> tag.
(() => {
  const base = new URL(".", (document.currentScript as HTMLScriptElement).src);
  let scope: unknown;
  const containers = ((globalThis as { _JUPYTERLAB?: Record<string, unknown> })._JUPYTERLAB ??= {});
  containers["moescope"] = {
    init(shareScope: unknown) {
      scope = shareScope;
    },
    async get(module: string) {
      if (module !== "./extension") throw new Error(`moescope: there is no module ${module}`);
      const { plugin } = await import(new URL("extension.js", base).href);
      const made = { __esModule: true, default: await plugin(scope, base) };
      return () => made;
    },
  };
})();
