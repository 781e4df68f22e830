import type { MimeModel, RendererOptions, WidgetClass } from "./lumino.ts";

/** A run's routing as text. Every matrix is `[layer][token]`. */
interface Ribbon {
  tokens: string[];
  layers: number[];
  /** Index into `layers` that is shown first. */
  layer: number;
  expert: number[][];
  runnerUp: number[][];
  score: number[][];
  margin: number[][];
  /** Background of each expert, and the text colour that reads on it. */
  colors: { back: string; text: string }[];
  caption: string;
}

const PLAY_MS = 700;

/** The underline says how sure the router was: thin at a coin toss, thick from two logits on. */
const thickness = (margin: number) => `${Math.max(1, Math.min(4, Math.round(margin * 2)))}px`;

const visible = (token: string) => token.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(" ", "\u00a0");

function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  style: Partial<CSSStyleDeclaration>,
  text = "",
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  Object.assign(node.style, style);
  node.textContent = text;
  return node;
}

/** The renderer of `application/vnd.moescope.ribbon.v1+json`. */
export function ribbonClass(Widget: WidgetClass) {
  return class RibbonWidget extends Widget {
    readonly #mimeType: string;
    #timer: ReturnType<typeof setInterval> | undefined;

    constructor(options: RendererOptions) {
      super();
      this.#mimeType = options.mimeType;
      this.addClass("moescope-ribbon");
    }

    async renderModel(model: MimeModel): Promise<void> {
      this.#stop();
      const ribbon = model.data[this.#mimeType] as Ribbon;
      const text = element("div", {
        lineHeight: "2",
        wordBreak: "break-word",
        fontFamily: "var(--jp-code-font-family)",
        fontSize: "var(--jp-code-font-size)",
      });
      const spans = ribbon.tokens.map((token) => {
        const span = element(
          "span",
          {
            padding: "2px 1px",
            borderRadius: "2px",
            borderBottomStyle: "solid",
            borderBottomColor: "var(--jp-content-font-color1)",
          },
          visible(token),
        );
        text.append(span);
        // A line break of the text is one of the ribbon, too.
        if (token.endsWith("\n")) text.append(document.createElement("br"));
        return span;
      });

      const label = element("span", { minWidth: "5.5em", fontVariantNumeric: "tabular-nums" });
      const slider = element("input", { width: "14em" });
      Object.assign(slider, {
        type: "range",
        min: "0",
        max: String(ribbon.layers.length - 1),
        value: String(ribbon.layer),
        ariaLabel: "layer",
      });
      const play = element("button", { width: "2.4em" }, "▶");
      play.title = "Play over the layers";

      const show = (row: number) => {
        label.textContent = `layer ${ribbon.layers[row]}`;
        spans.forEach((span, t) => {
          const expert = ribbon.expert[row]![t]!;
          const color = ribbon.colors[expert % ribbon.colors.length]!;
          span.style.background = color.back;
          span.style.color = color.text;
          span.style.borderBottomWidth = thickness(ribbon.margin[row]![t]!);
          span.title = `t ${t} · expert ${expert} · score ${ribbon.score[row]![t]!.toFixed(3)} · margin ${ribbon.margin[row]![t]!.toFixed(3)} over expert ${ribbon.runnerUp[row]![t]}`;
        });
        keys.replaceChildren(
          ...[...new Set(ribbon.expert[row])]
            .sort((a, b) => a - b)
            .map((expert) => {
              const color = ribbon.colors[expert % ribbon.colors.length]!;
              return element(
                "span",
                { background: color.back, color: color.text, padding: "0 6px", borderRadius: "2px" },
                `${expert}`,
              );
            }),
        );
      };
      const keys = element("span", { display: "inline-flex", gap: "3px", flexWrap: "wrap" });
      slider.addEventListener("input", () => show(Number(slider.value)));
      play.addEventListener("click", () => {
        if (this.#timer) {
          this.#stop();
          play.textContent = "▶";
          return;
        }
        play.textContent = "⏸";
        this.#timer = setInterval(() => {
          slider.value = String((Number(slider.value) + 1) % ribbon.layers.length);
          show(Number(slider.value));
        }, PLAY_MS);
      });

      const bar = element("div", {
        display: "flex",
        gap: "10px",
        alignItems: "center",
        margin: "4px 0",
        fontSize: "var(--jp-ui-font-size1)",
        flexWrap: "wrap",
      });
      if (ribbon.layers.length > 1) bar.append(play, slider);
      bar.append(label, "experts", keys);
      const caption = element("div", { fontSize: "var(--jp-ui-font-size1)", opacity: "0.75" }, ribbon.caption);
      this.node.replaceChildren(bar, text, caption);
      this.node.style.padding = "4px 8px";
      show(ribbon.layer);
    }

    #stop(): void {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }

    override dispose(): void {
      this.#stop();
      super.dispose();
    }
  };
}
