/** JupyterLab's colours now. Its theme lives in CSS variables on the body. */
export interface Theme {
  text: string;
  grid: string;
  dark: boolean;
}

export function theme(): Theme {
  const style = getComputedStyle(document.body);
  const dark = document.body.dataset["jpThemeLight"] === "false";
  return {
    text: style.getPropertyValue("--jp-content-font-color1").trim() || (dark ? "#e0e0e0" : "#212121"),
    grid: dark ? "rgba(255,255,255,0.14)" : "rgba(0,0,0,0.10)",
    dark,
  };
}

/** Calls `fn` after every change of theme, until the returned function is called. */
export function onThemeChange(fn: () => void): () => void {
  const observer = new MutationObserver(fn);
  observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"] });
  return () => observer.disconnect();
}
