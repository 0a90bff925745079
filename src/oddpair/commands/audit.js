"use strict";

// The pictures stand in the page already; this hides, orders and walks through them. It writes no text but a number.
document.documentElement.classList.add("scripted-page");

document.addEventListener("DOMContentLoaded", () => {
  const find = (id) => document.getElementById(id);
  const list = find("cards");
  const form = document.querySelector(".filters");
  if (!list || !form) return;
  const FIELDS = ["kind", "style", "concept", "from", "to", "order"];
  const cards = [...list.children].map((line, place) => ({
    line,
    place,
    kinds: line.dataset.kinds.split(" "),
    style: line.dataset.style,
    score: Number(line.dataset.score),
    words: line.dataset.words,
  }));
  let order = "";

  const number = (id, missing) => {
    const value = find(id).valueAsNumber;
    return Number.isNaN(value) ? missing : value;
  };

  function apply() {
    const [kind, style] = [find("kind").value, find("style").value];
    const word = find("concept").value.trim().toLowerCase();
    const [low, high] = [number("from", -Infinity), number("to", Infinity)];
    let left = 0;
    for (const card of cards) {
      const shown = (!kind || card.kinds.includes(kind)) && (!style || card.style === style)
        && card.words.includes(word) && card.score >= low && card.score <= high;
      card.line.hidden = !shown;
      left += shown;
    }
    find("count").textContent = `${left} of ${cards.length}`;
    find("empty").hidden = left > 0;
    arrange(find("order").value);
  }

  function arrange(wanted) {
    if (wanted === order) return;
    order = wanted;
    const way = { near: -1, far: 1 }[wanted];
    const sorted = cards.slice().sort((one, other) => (way ? way * (one.score - other.score) : 0) || one.place - other.place);
    list.append(...sorted.map(({ line }) => line));
  }

  // What the address holds can be sent to others.
  function keep() {
    const held = new URLSearchParams();
    for (const id of FIELDS) if (find(id).value) held.set(id, find(id).value);
    const text = held.toString();
    history.replaceState(null, "", text ? `#?${text}` : location.pathname + location.search);
  }

  function restore() {
    if (!location.hash.startsWith("#?")) return;
    const held = new URLSearchParams(location.hash.slice(2));
    for (const id of FIELDS) find(id).value = held.get(id) ?? "";
  }

  function walk(step) {
    const shown = [...list.children].filter((line) => !line.hidden);
    if (!shown.length) return;
    const here = shown.indexOf(document.activeElement.closest(".test"));
    const next = here < 0 ? 0 : Math.min(Math.max(here + step, 0), shown.length - 1);
    shown[next].focus();
    shown[next].scrollIntoView({ block: "nearest" });
  }

  form.addEventListener("input", () => { apply(); keep(); });
  form.addEventListener("reset", () => setTimeout(() => { apply(); keep(); }));
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const types = event.target.matches("input, select, textarea");
    if (event.key === "Escape" && types) event.target.blur();
    if (types) return;
    if (event.key === "/") { event.preventDefault(); find("concept").focus(); }
    if (event.key === "j") walk(1);
    if (event.key === "k") walk(-1);
  });
  window.addEventListener("hashchange", () => { if (location.hash.startsWith("#?")) { restore(); apply(); } });
  restore();
  apply();
});
