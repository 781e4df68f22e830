import { figureClass } from "./figure.ts";
import { type RenderMimeRegistry, type ShareScope, shared, type WidgetClass } from "./lumino.ts";
import { ribbonClass } from "./ribbon.ts";

/** Below JupyterLab's HTML (50) and images: our renderers win in a bundle that has several forms. */
const RANK = 0;

/** The plugin object that JupyterLab activates. `base` is the folder that our scripts are served from. */
export async function plugin(scope: ShareScope, base: URL) {
  const { Widget } = await shared<{ Widget: WidgetClass }>(scope, "@lumino/widgets");
  const { IRenderMimeRegistry } = await shared<{ IRenderMimeRegistry: unknown }>(scope, "@jupyterlab/rendermime");
  const Figure = figureClass(Widget, base);
  const Ribbon = ribbonClass(Widget);
  return {
    id: "moescope:renderers",
    description: "Draws plotly figures and token ribbons.",
    autoStart: true,
    requires: [IRenderMimeRegistry],
    activate(_app: unknown, registry: RenderMimeRegistry) {
      registry.addFactory(
        { safe: true, mimeTypes: ["application/vnd.plotly.v1+json"], createRenderer: (o) => new Figure(o) },
        RANK,
      );
      registry.addFactory(
        { safe: true, mimeTypes: ["application/vnd.moescope.ribbon.v1+json"], createRenderer: (o) => new Ribbon(o) },
        RANK,
      );
    },
  };
}
