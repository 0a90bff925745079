"use strict";

// The table stands in the page already; this sorts, hides and finds. Texts of others reach the page as text alone.
document.documentElement.classList.add("scripted-page");

document.addEventListener("DOMContentLoaded", () => {
  const find = (id) => document.getElementById(id);
  const data = JSON.parse(find("data").textContent);
  const FIELDS = ["search", "from", "to", "training", "weights", "level"];
  const boxes = [...document.querySelectorAll("input[name=columns]")];
  const SHOWN = ["families", "about"];
  // What the address holds: the column by which rows are sorted, or none for the order of the ranking.
  const sorted = { key: "", down: false };

  const tables = Object.entries(data).map(([name, { columns, rows }]) => {
    const table = find(name);
    const body = table.tBodies[0];
    const lines = [...body.rows].map((line, place) => {
      const facts = rows[place];
      return { line, place, facts, words: [...facts.words, ...facts.training].join("\n").toLowerCase() };
    });
    const heads = [...table.tHead.rows[1].cells];
    return { table, body, lines, heads, columns, order: lines };
  });
  if (!tables.length) return;

  function sortBy(key, bestFirst) {
    if (sorted.key !== key) Object.assign(sorted, { key, down: bestFirst });
    else if (sorted.down === bestFirst) sorted.down = !bestFirst;
    else Object.assign(sorted, { key: "", down: false });
    arrange();
    filter();
    keep();
  }

  // What has no value stays last both ways; equal ones keep the order of the ranking.
  function compare(column) {
    const way = sorted.down ? -1 : 1;
    return (one, other) => {
      const [first, second] = [one.facts.values[column], other.facts.values[column]];
      if (first === null || second === null) return (first === null) - (second === null) || one.place - other.place;
      const difference = typeof first === "number"
        ? first - second
        : (first.toLowerCase() > second.toLowerCase()) - (first.toLowerCase() < second.toLowerCase());
      return way * difference || one.place - other.place;
    };
  }

  function arrange() {
    for (const one of tables) {
      const column = one.columns.findIndex(([key]) => key === sorted.key);
      const order = column < 0 ? one.lines : one.lines.slice().sort(compare(column));
      if (order !== one.order) one.body.append(...order.map(({ line }) => line));
      one.order = order;
      one.heads.forEach((head, place) => {
        if (place === column) head.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
    }
  }

  function fits({ facts, words }, wanted) {
    return wanted.search.toLowerCase().split(/\s+/).every((word) => words.includes(word))
      && (wanted.from === "" || facts.size >= Number(wanted.from) * 1e6)
      && (wanted.to === "" || facts.size <= Number(wanted.to) * 1e6)
      && (wanted.training === "" || facts.training.includes(wanted.training))
      && (wanted.weights === "" || facts.weights === wanted.weights)
      && (wanted.level === "" || facts.level === wanted.level);
  }

  function filter() {
    const wanted = Object.fromEntries(FIELDS.map((name) => [name, find(name).value]));
    let shown = 0;
    let all = 0;
    for (const { columns, order, lines } of tables) {
      const band = columns.findIndex(([key]) => key === "band");
      let before = null;
      for (const one of order) {
        one.line.hidden = !fits(one, wanted);
        if (one.line.hidden) continue;
        shown += 1;
        const own = one.facts.values[band];
        one.line.classList.toggle("starts", !sorted.key && before !== null && own !== before);
        before = own ?? null;
      }
      all += lines.length;
    }
    find("count").textContent = `${shown} of ${all} models`;
  }

  function showColumns() {
    for (const { table } of tables) {
      for (const box of boxes) table.classList.toggle(`hide-${box.value}`, !box.checked);
    }
  }

  const chosen = () => boxes.filter((box) => box.checked).map((box) => box.value);
  const usual = () => boxes.map((box) => box.value).filter((name) => SHOWN.includes(name));

  function keep() {
    const state = new URLSearchParams();
    for (const name of FIELDS) if (find(name).value) state.set(name, find(name).value);
    if (sorted.key) state.set("sort", sorted.key);
    if (sorted.key) state.set("order", sorted.down ? "descending" : "ascending");
    if (chosen().join() !== usual().join()) state.set("columns", chosen().join());
    history.replaceState(null, "", `#${state}`);
    find("clear").disabled = !state.size;
  }

  function restore() {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const name of FIELDS) {
      find(name).value = state.get(name) ?? "";
      // A select that lacks the value shows nothing: then nothing is asked for.
      if (find(name).selectedIndex === -1) find(name).value = "";
    }
    const key = state.get("sort") ?? "";
    const known = tables.some(({ columns }) => columns.some(([name]) => name === key));
    Object.assign(sorted, { key: known ? key : "", down: known && state.get("order") === "descending" });
    const columns = state.has("columns") ? state.get("columns").split(",") : SHOWN;
    for (const box of boxes) box.checked = columns.includes(box.value);
    showColumns();
    arrange();
    filter();
    find("clear").disabled = !state.size;
  }

  for (const { heads, columns } of tables) {
    heads.forEach((head, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sortBy(...columns[place]));
      head.append(button);
    });
  }
  for (const name of FIELDS) find(name).addEventListener("input", () => { filter(); keep(); });
  for (const box of boxes) box.addEventListener("change", () => { showColumns(); keep(); });
  find("clear").addEventListener("click", () => {
    history.replaceState(null, "", "#");
    restore();
  });
  // On a narrow screen the table comes first.
  find("more").addEventListener("click", () => {
    const open = find("controls").classList.toggle("open");
    find("more").setAttribute("aria-expanded", String(open));
  });
  // A link to a section of the page changes nothing of what is shown.
  window.addEventListener("hashchange", () => {
    if (location.hash.length < 2 || location.hash.includes("=")) restore();
  });

  function link() {
    const [first, second] = [find("first").value, find("second").value];
    const versus = find("versus");
    const page = (id) => encodeURIComponent(id);
    if (first === second) versus.removeAttribute("href");
    else versus.href = `entries/${page(first)}.html#vs-${page(second)}`;
    versus.textContent = first === second ? "Choose two different models" : "Compare on the same questions";
  }

  if (find("compare")) {
    for (const [place, name] of ["first", "second"].entries()) {
      find(name).append(...data.ranking.rows.map((facts) => new Option(facts.name, facts.id)));
      find(name).selectedIndex = place;
      find(name).addEventListener("input", link);
    }
    link();
  }
  restore();
});
