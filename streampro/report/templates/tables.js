"use strict";
const SHOWN_ROWS = 12;
const collator = new Intl.Collator(undefined, { numeric: true });
const NUMERIC = ["count", "number", "share", "points", "p_value", "interval"];

function sort(heading) {
  const table = heading.closest("table");
  const isNumeric = NUMERIC.includes(heading.className);
  const before = heading.getAttribute("aria-sort");
  const isDown = before === "none" ? isNumeric : before === "ascending";
  const compare = isNumeric ? (a, b) => Number(a) - Number(b) : collator.compare;
  const value = (row) => row.cells[heading.cellIndex].dataset.value;
  const rows = [...table.tBodies[0].rows].sort((one, other) => {
    const a = value(one), b = value(other);
    if (a === "" || b === "") return (a === "") - (b === "");
    return isDown ? compare(b, a) : compare(a, b);
  });
  table.tBodies[0].append(...rows);
  for (const each of heading.parentElement.cells) each.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", isDown ? "descending" : "ascending");
}

for (const table of document.querySelectorAll("main table")) {
  for (const heading of table.tHead.rows[0].cells) {
    heading.firstElementChild.addEventListener("click", () => sort(heading));
  }
  const rows = table.tBodies[0].rows.length;
  if (rows <= SHOWN_ROWS || table.classList.contains("whole")) continue;
  const more = document.createElement("button");
  more.className = "more";
  const tell = () => {
    const isShort = table.classList.contains("short");
    more.textContent = isShort ? `Show all ${rows.toLocaleString("en")} rows` : `Show ${SHOWN_ROWS} rows`;
    more.setAttribute("aria-expanded", String(!isShort));
  };
  more.addEventListener("click", () => { table.classList.toggle("short"); tell(); });
  table.classList.add("short");
  table.parentElement.after(more);
  tell();
}

const boxes = [...document.querySelectorAll(".scroll")];
function tellWide() {
  for (const each of boxes) each.classList.toggle("wide", each.scrollWidth > each.clientWidth + 1);
}
addEventListener("resize", tellWide);
document.addEventListener("toggle", tellWide, true);
tellWide();

let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const each of closed) each.open = true;
});
addEventListener("afterprint", () => {
  for (const each of closed) each.open = false;
});
