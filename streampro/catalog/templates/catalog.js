const MOST_HITS = 40;
const input = document.querySelector(".search input");
const list = document.querySelector(".hits");
const told = document.querySelector(".hits-told");
const root = document.documentElement.dataset.root;

/* Every table and column: what is shown, what is looked through, where it leads. */
const things = CATALOG.flatMap(([name, page, grain, words, columns]) => [
  { name, about: grain, short: name.split(".").pop().toLowerCase(), text: `${name} ${grain} ${words}`.toLowerCase(), href: page, weight: 0 },
  ...columns.map(([column, meaning]) => ({
    name: `${name}.${column}`, about: meaning, short: column.toLowerCase(), text: `${name}.${column} ${meaning}`.toLowerCase(),
    href: `${page}#column-${encodeURIComponent(column)}`, weight: 1,
  })),
]);

/* The best first: named so, named alike, in the name, in the text; tables before columns. */
function rank(thing, words) {
  if (!words.every((word) => thing.text.includes(word))) return Infinity;
  const [word] = words.slice(-1);
  const place = thing.short === word ? 0 : thing.short.startsWith(word) ? 2 : thing.name.toLowerCase().includes(word) ? 4 : 6;
  return place + thing.weight;
}

function search() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = words.length ? things.map((thing) => [rank(thing, words), thing]).filter(([each]) => each < Infinity) : [];
  found.sort(([a, one], [b, other]) => a - b || collator.compare(one.name, other.name));
  list.replaceChildren(...found.slice(0, MOST_HITS).map(([, thing]) => {
    const item = document.createElement("li"), link = document.createElement("a"), about = document.createElement("small");
    link.href = root + thing.href;
    about.textContent = thing.about;
    link.append(thing.name, about);
    item.append(link);
    return item;
  }));
  if (words.length && found.length !== list.children.length) {
    const item = document.createElement("li");
    item.textContent = `… and ${(found.length - MOST_HITS).toLocaleString("en")} more`;
    list.append(item);
  } else if (words.length && !found.length) {
    list.textContent = "Nothing has these words.";
  }
  told.textContent = words.length ? `${found.length} found` : "";
  list.hidden = !words.length;
}

function move(by) {
  const stops = [input, ...list.querySelectorAll("a")];
  stops[(stops.indexOf(document.activeElement) + by + stops.length) % stops.length].focus();
}

input.addEventListener("input", search);
input.addEventListener("focus", search);
document.addEventListener("click", (event) => { if (!event.target.closest(".search")) list.hidden = true; });
document.addEventListener("keydown", (event) => {
  const isSearching = event.target.closest(".search");
  if (event.key === "/" && !event.target.matches("input")) input.focus();
  else if (isSearching && event.key === "Escape") { list.hidden = true; input.focus(); list.hidden = true; }
  else if (isSearching && event.key === "ArrowDown") move(1);
  else if (isSearching && event.key === "ArrowUp") move(-1);
  else if (event.target === input && event.key === "Enter") list.querySelector("a")?.click();
  else return;
  event.preventDefault();
});
document.querySelector(".search").addEventListener("focusout", (event) => {
  if (event.relatedTarget && !event.relatedTarget.closest(".search")) list.hidden = true;
});
list.addEventListener("click", (event) => { if (event.target.closest("a")) list.hidden = true; });
