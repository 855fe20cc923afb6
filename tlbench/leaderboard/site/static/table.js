"use strict";
(() => {
  // What a column or a number is: shown while the pointer or the focus is on it.
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);
  const hide = () => { tip.hidden = true; };
  function explained(place, text) {
    const show = () => {
      tip.textContent = text;
      tip.hidden = false;
      const at = place.getBoundingClientRect();
      const size = tip.getBoundingClientRect();
      const room = document.documentElement.clientWidth - size.width - 8;
      tip.style.left = `${Math.max(8, Math.min(at.left, room))}px`;
      tip.style.top = `${at.bottom + 6 + size.height > innerHeight && at.top > size.height + 6 ? at.top - size.height - 6 : at.bottom + 6}px`;
    };
    place.addEventListener("pointerenter", show);
    place.addEventListener("focusin", show);
    place.addEventListener("pointerleave", hide);
    place.addEventListener("focusout", hide);
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  addEventListener("scroll", hide, { passive: true, capture: true });
  for (const place of document.querySelectorAll("[data-tip]")) explained(place, place.dataset.tip);

  const KINDS = ["computed", "published", "ceilings and floors"];
  for (const board of document.querySelectorAll(".board")) sortable(board);

  function sortable(board) {
    const table = board.querySelector(".standings");
    const heads = [...table.tHead.rows[0].cells];
    const rows = [...table.querySelectorAll("tbody tr[data-kind]")].map((line) => ({
      line,
      kind: line.dataset.kind,
      name: line.cells[0].textContent.trim(),
      cells: [...line.cells].map((cell) => ({
        value: cell.dataset.value ? Number(cell.dataset.value) : NaN, // 1e999 is infinite, as it should be
        way: "way" in cell.dataset ? Number(cell.dataset.way) : -1,
        rank: Number(cell.dataset.rank || 0),
      })),
    }));
    const find = board.querySelector(".find");
    const ticks = [...board.querySelectorAll(".tools input[type=checkbox]")];
    const status = board.querySelector(".count");
    const state = { column: Math.max(0, heads.findIndex((head) => head.hasAttribute("aria-sort"))), best: true };

    heads.forEach((head, column) => {
      const inside = head.querySelector(".head");
      const button = document.createElement("button");
      button.type = "button";
      if (inside) {
        inside.replaceWith(button);
        button.append(inside);
        button.setAttribute("aria-describedby", head.getAttribute("aria-describedby"));
        explained(head, document.getElementById(head.getAttribute("aria-describedby")).textContent);
      } else {
        button.textContent = head.textContent;
        head.replaceChildren(button);
      }
      button.addEventListener("click", () => {
        state.best = state.column === column ? !state.best : true;
        state.column = column;
        arrange();
      });
    });

    // Rows that may be ranked together: of one kind and made in one way. The column of names has no ways.
    function arrange() {
      const { column, best } = state;
      const better = heads[column].dataset.better;
      const downwards = column > 0 && (better !== "lower") === best;
      const ways = column ? JSON.parse(heads[column].dataset.ways) : [];
      const groups = new Map();
      for (const row of rows) {
        const way = column ? row.cells[column].way : 0;
        const key = `${KINDS.indexOf(row.kind)} ${way < 0 ? "~" : String(way).padStart(6, "0")}`;
        if (!groups.has(key)) groups.set(key, { kind: row.kind, way, rows: [] });
        groups.get(key).rows.push(row);
      }
      for (const body of [...table.tBodies]) body.remove();
      for (const key of [...groups.keys()].sort()) {
        const { kind, way, rows: members } = groups.get(key);
        members.sort((a, b) => {
          const [x, y] = [a.cells[column].value, b.cells[column].value];
          if (column && x !== y && !(Number.isNaN(x) && Number.isNaN(y))) return (x < y ? -1 : 1) * (downwards ? -1 : 1);
          return a.name.localeCompare(b.name, "en") * (column || best ? 1 : -1);
        });
        const body = document.createElement("tbody");
        const label = document.createElement("th");
        label.scope = "rowgroup";
        label.colSpan = heads.length;
        const span = document.createElement("span");
        span.textContent = kind + (way < 0 ? `, without ${heads[column].dataset.label}` : ways.length > 1 ? `, ${heads[column].dataset.label} made as ${letter(way)}: ${ways[way]}` : "");
        label.append(span);
        const line = document.createElement("tr");
        line.className = "group";
        line.append(label);
        body.append(line);
        let band = false;
        members.forEach((row, place) => {
          const rank = row.cells[column].rank;
          if (place && rank && rank !== members[place - 1].cells[column].rank) band = !band;
          row.line.classList.toggle("band", Boolean(rank) && band);
          body.append(row.line);
        });
        table.append(body);
      }
      heads.forEach((head, place) => {
        if (place !== column) head.removeAttribute("aria-sort");
        else head.setAttribute("aria-sort", downwards || (!column && !best) ? "descending" : "ascending");
      });
      filter();
    }

    function letter(way) {
      return (way >= 26 ? letter(Math.floor(way / 26) - 1) : "") + String.fromCharCode(97 + (way % 26));
    }

    function filter() {
      const words = find.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
      const kinds = new Set(ticks.filter((tick) => tick.checked).map((tick) => tick.value));
      let shown = 0;
      for (const row of rows) {
        const name = row.name.toLocaleLowerCase();
        row.line.hidden = !kinds.has(row.kind) || !words.every((word) => name.includes(word));
        shown += !row.line.hidden;
      }
      for (const body of table.tBodies) body.hidden = ![...body.rows].some((line) => line.dataset.kind && !line.hidden);
      const label = state.column ? heads[state.column].dataset.label : "name";
      status.textContent = `${shown} of ${rows.length} rows, by ${label}${state.column ? (state.best ? ", best first" : ", worst first") : ""}`;
    }

    find.addEventListener("input", filter);
    for (const tick of ticks) tick.addEventListener("change", filter);
    board.querySelector(".tools").hidden = false;
    arrange();
  }

  document.addEventListener("keydown", (event) => {
    const find = document.querySelector(".find");
    if (event.key === "/" && find && !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest("input, select, textarea")) {
      event.preventDefault();
      find.focus();
    }
  });
})();
