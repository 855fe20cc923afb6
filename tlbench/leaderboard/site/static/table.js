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
  const boards = [...document.querySelectorAll(".board")].map(sortable);

  // What is chosen is in the address, so that a link shows the same: #sound.sort=psnr/sound&sound.find=talk
  const FIELDS = ["sort", "worst", "find", "without", "hide"];
  function write() {
    const said = new URLSearchParams();
    for (const board of boards) for (const field of FIELDS) if (board.told(field)) said.set(`${board.id}.${field}`, board.told(field));
    const text = said.toString().replaceAll("%2F", "/").replaceAll("%2C", ",");
    const hash = text ? `#${text}` : location.hash.includes("=") ? "#" : location.hash;
    if (hash !== location.hash) history.replaceState(null, "", hash || "#");
  }
  function read() {
    const said = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
    for (const board of boards) board.take(Object.fromEntries(FIELDS.map((field) => [field, said.get(`${board.id}.${field}`) || ""])));
  }
  if (boards.length) {
    read();
    addEventListener("hashchange", read);
  }

  function sortable(board) {
    const table = board.querySelector(".standings");
    const heads = [...table.tHead.rows[0].cells];
    const keys = heads.map((head) => head.dataset.key);
    const NAME = keys.indexOf("name");
    const metric = (column) => "ways" in heads[column].dataset;
    const ways = heads.map((head) => ("ways" in head.dataset ? JSON.parse(head.dataset.ways) : []));
    const rows = [...table.querySelectorAll("tbody tr[data-kind]")].map((line) => ({
      line,
      kind: line.dataset.kind,
      name: line.cells[NAME].textContent.trim(),
      cells: [...line.cells].map((cell) => ({
        text: cell.textContent.trim(),
        value: cell.dataset.value ? Number(cell.dataset.value) : NaN, // 1e999 is infinite, as it should be
        low: cell.dataset.low ? Number(cell.dataset.low) : null,
        high: cell.dataset.high ? Number(cell.dataset.high) : null,
        way: "way" in cell.dataset ? Number(cell.dataset.way) : -1,
        rank: Number(cell.dataset.rank || 0),
      })),
      links: [...line.cells[keys.indexOf("links")].querySelectorAll("a")].map((link) => link.href),
    }));
    const find = board.querySelector(".find");
    const kindTicks = [...board.querySelectorAll(".kinds input")];
    const columnTicks = [...board.querySelectorAll(".columns input")];
    const status = board.querySelector(".count");
    const first = Math.max(NAME, heads.findIndex((head) => head.hasAttribute("aria-sort")));
    const state = { column: first, best: true };

    heads.forEach((head, column) => {
      if (!metric(column) && column !== NAME && keys[column] !== "date") return;
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
        write();
      });
    });

    // Rows that may be ranked together: of one kind and made in one way. Names and dates have no ways.
    function arrange() {
      const { column, best } = state;
      const numbers = metric(column);
      const better = heads[column].dataset.better;
      const downwards = numbers ? (better !== "lower") === best : keys[column] === "date" ? best : !best;
      const groups = new Map();
      for (const row of rows) {
        const way = numbers ? row.cells[column].way : 0;
        const key = `${KINDS.indexOf(row.kind)} ${way < 0 ? "~" : String(way).padStart(6, "0")}`;
        if (!groups.has(key)) groups.set(key, { kind: row.kind, way, rows: [] });
        groups.get(key).rows.push(row);
      }
      for (const body of [...table.tBodies]) body.remove();
      for (const key of [...groups.keys()].sort()) {
        const { kind, way, rows: members } = groups.get(key);
        members.sort((a, b) => {
          const sign = downwards ? -1 : 1;
          if (numbers) {
            const [x, y] = [a.cells[column].value, b.cells[column].value];
            if (x !== y && !(Number.isNaN(x) && Number.isNaN(y))) return (x < y ? -1 : 1) * sign;
          } else if (column !== NAME) {
            const order = a.cells[column].text.localeCompare(b.cells[column].text, "en");
            if (order) return order * sign;
          }
          return a.name.localeCompare(b.name, "en") * (column === NAME ? sign : 1);
        });
        const body = document.createElement("tbody");
        const label = document.createElement("th");
        label.scope = "rowgroup";
        const span = document.createElement("span");
        span.textContent = kind + (way < 0 ? `, without ${heads[column].dataset.label}` : ways[column].length > 1 ? `, ${heads[column].dataset.label} made as ${letter(way)}: ${ways[column][way]}` : "");
        label.append(span);
        const line = document.createElement("tr");
        line.className = "group";
        line.append(label);
        body.append(line);
        const counts = new Map();
        if (numbers) for (const row of members) counts.set(row.cells[column].rank, (counts.get(row.cells[column].rank) || 0) + 1);
        let band = false;
        members.forEach((row, place) => {
          const rank = numbers ? row.cells[column].rank : 0;
          if (place && rank && rank !== members[place - 1].cells[column].rank) band = !band;
          row.line.classList.toggle("band", Boolean(rank) && band);
          drawRank(row.line.cells[0], rank, counts.get(rank));
          row.rank = rank;
          body.append(row.line);
        });
        table.append(body);
      }
      heads.forEach((head, place) => {
        if (place !== column) head.removeAttribute("aria-sort");
        else head.setAttribute("aria-sort", downwards ? "descending" : "ascending");
      });
      filter();
    }

    function drawRank(cell, rank, count) {
      cell.textContent = rank ? String(rank) : "";
      if (!rank || count < 2) return;
      const tie = document.createElement("small");
      tie.className = "line";
      tie.textContent = `tie of ${count}`;
      cell.append(tie);
    }

    function letter(way) {
      return (way >= 26 ? letter(Math.floor(way / 26) - 1) : "") + String.fromCharCode(97 + (way % 26));
    }

    function filter() {
      const words = find.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
      const kinds = new Set(kindTicks.filter((tick) => tick.checked).map((tick) => tick.value));
      const hidden = new Set(columnTicks.filter((tick) => !tick.checked).map((tick) => tick.value));
      const gone = keys.map((key) => hidden.has(key));
      let shown = 0;
      for (const row of rows) {
        const name = row.name.toLocaleLowerCase();
        row.line.hidden = !kinds.has(row.kind) || !words.every((word) => name.includes(word));
        shown += !row.line.hidden;
        gone.forEach((away, place) => { row.line.cells[place].hidden = away; });
      }
      gone.forEach((away, place) => { heads[place].hidden = away; });
      for (const body of table.tBodies) {
        body.hidden = ![...body.rows].some((line) => line.dataset.kind && !line.hidden);
        body.rows[0].cells[0].colSpan = gone.filter((away) => !away).length;
      }
      const label = metric(state.column) ? heads[state.column].dataset.label : keys[state.column];
      status.textContent = `${shown} of ${rows.length} rows, by ${label}${metric(state.column) ? (state.best ? ", best first" : ", worst first") : ""}`;
    }

    // What is shown, in the order shown.
    function shown() {
      const columns = keys.map((_, place) => place).filter((place) => metric(place) && !heads[place].hidden);
      const extra = (key) => keys.includes(key) && !heads[keys.indexOf(key)].hidden;
      return [...table.querySelectorAll("tbody tr[data-kind]:not([hidden])")].map((line) => {
        const row = rows.find((one) => one.line === line);
        const told = { system: row.name, kind: row.kind, rank: row.rank || null };
        const numbers = {};
        for (const place of columns) {
          const { value, low, high, way, rank } = row.cells[place];
          if (way >= 0) numbers[keys[place]] = { value: Number.isFinite(value) ? value : String(value), low, high, rank: rank || null, protocol: ways[place][way] };
        }
        told.numbers = numbers;
        if (extra("date")) told.date = row.cells[keys.indexOf("date")].text.replace(/^-$/, "") || null;
        if (extra("trained")) told.trained_on_or_with = row.cells[keys.indexOf("trained")].text.replace(/^-$/, "") || null;
        if (extra("links")) told.links = row.links;
        return told;
      });
    }
    function csv() {
      const columns = keys.filter((key, place) => metric(place) && !heads[place].hidden);
      const lines = [["system", "kind", "rank", ...columns.flatMap((key) => [key, `${key} low`, `${key} high`, `${key} protocol`]), "date", "trained_on_or_with", "links"]];
      for (const row of shown()) {
        const numbers = columns.flatMap((key) => { const one = row.numbers[key] || {}; return [one.value, one.low, one.high, one.protocol]; });
        lines.push([row.system, row.kind, row.rank, ...numbers, row.date, row.trained_on_or_with, (row.links || []).join(" ")]);
      }
      // A text that a spreadsheet would run as a formula gets an apostrophe in front.
      const cell = (value) => {
        if (value === null || value === undefined) return "";
        const text = typeof value === "string" && /^\s*[=+\-@]/.test(value) && Number.isNaN(Number(value)) ? `'${value}` : String(value);
        return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
      };
      return lines.map((line) => line.map(cell).join(",")).join("\n") + "\n";
    }
    function offer(suffix, type, text) {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type }));
      link.download = `${table.dataset.dataset}-${table.dataset.arithmetic}.${suffix}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }
    board.querySelector("button.csv").addEventListener("click", () => offer("csv", "text/csv", csv()));
    board.querySelector("button.json").addEventListener("click", () => offer("json", "application/json", `${JSON.stringify({ dataset: table.dataset.dataset, arithmetic: table.dataset.arithmetic, sorted_by: keys[state.column], rows: shown() }, null, 1)}\n`));

    const changed = () => { filter(); write(); };
    find.addEventListener("input", changed);
    for (const tick of [...kindTicks, ...columnTicks]) tick.addEventListener("change", changed);
    board.querySelector(".tools").hidden = false;

    const without = (ticks) => ticks.filter((tick) => !tick.checked).map((tick) => tick.value).join(",");
    return {
      id: board.id,
      told(field) {
        if (field === "sort") return state.column === first ? "" : keys[state.column];
        if (field === "worst") return state.best ? "" : "1";
        if (field === "find") return find.value;
        return without(field === "hide" ? columnTicks : kindTicks);
      },
      take(said) {
        const column = keys.indexOf(said.sort);
        state.column = column >= 0 && heads[column].querySelector("button") ? column : first;
        state.best = said.worst !== "1";
        find.value = said.find;
        const listed = (text) => new Set(text.split(",").filter(Boolean));
        for (const tick of kindTicks) tick.checked = !listed(said.without).has(tick.value);
        for (const tick of columnTicks) tick.checked = !listed(said.hide).has(tick.value);
        arrange();
      },
    };
  }

  document.addEventListener("keydown", (event) => {
    const find = document.querySelector(".find");
    if (event.key === "/" && find && !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest("input, select, textarea")) {
      event.preventDefault();
      find.focus();
    }
  });
})();
