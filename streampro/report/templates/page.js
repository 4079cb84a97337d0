"use strict";
const font = getComputedStyle(document.documentElement).getPropertyValue("--font");
const words = { labelColor: "var(--muted)", titleColor: "var(--muted)", labelFont: font, titleFont: font, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
const config = {
  background: null,
  font,
  view: { stroke: null },
  axis: { ...words, gridColor: "var(--line)", domainColor: "var(--line)", tickColor: "var(--line)", labelPadding: 6, titlePadding: 8 },
  axisY: { labelColor: "var(--ink)" },
  legend: { ...words, labelColor: "var(--ink)", labelLimit: 320 },
  text: { font, fontSize: 12, fill: "var(--ink)" },
  mark: { color: "var(--accent)" },
};
const embedding = { mode: "vega-lite", renderer: "svg", actions: false, ast: true, defaultStyle: false, config, tooltip: { disableDefaultStyle: true } };

for (const spec of document.querySelectorAll("script.spec")) {
  const chart = spec.parentElement.querySelector(".chart");
  vegaEmbed(chart, JSON.parse(spec.textContent), embedding);
}
