"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const [first, second] = data.sides;
  const byId = (id) => document.getElementById(id);
  const PAGE = 50;
  const NOTABLE = 4; // cards at each end
  const SVG = "http://www.w3.org/2000/svg";

  // Makes all elements of the page. Text is never markup.
  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key === "text") made.textContent = value;
      else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null));
    return made;
  }
  function drawn(name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // Values: null is no value, a text is an infinity.
  const numeric = (value) => (value === null ? NaN : typeof value === "string" ? (value[0] === "-" ? -Infinity : Infinity) : value);
  function number(value, digits) {
    if (Number.isNaN(value)) return "-";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
    const text = value.toFixed(digits);
    return Number(text) === 0 ? text.replace("-", "") : text;
  }

  // The clips of the page: those of the first run, then those that only the second has.
  const ids = second ? [...new Set([...first.ids, ...second.ids])] : first.ids;
  const places = data.sides.map((side) => {
    const found = new Map(side.ids.map((id, place) => [id, place]));
    return ids.map((id) => (found.has(id) ? found.get(id) : -1));
  });
  const metrics = first.metrics.map((metric) => {
    const own = data.sides.map((side) => side.metrics.find((one) => one.key === metric.key));
    const values = own.map((one, side) => Float64Array.from(ids, (_, clip) => (one && places[side][clip] >= 0 ? numeric(one.values[places[side][clip]]) : NaN)));
    const change = second ? values[0].map((value, clip) => (value === values[1][clip] ? 0 : value - values[1][clip])) : null;
    return { ...metric, values, change };
  });
  const of = (side, clip, field) => {
    const place = places[side][clip];
    return place < 0 ? undefined : data.sides[side][field][String(place)];
  };
  const column = (side, clip, field) => (data.sides[side][field] && places[side][clip] >= 0 ? data.sides[side][field][places[side][clip]] : null);

  const state = { query: "", metric: metrics.find((one) => one.key === data.primary) || metrics[0], order: second ? "change" : "worst", page: 0, columns: "headline", open: new Set() };
  let visible = ids.map((_, clip) => clip);

  // The text that a search covers, made at the first search.
  let texts = null;
  function haystack() {
    texts = texts || ids.map((id, clip) => {
      const parts = [id];
      data.sides.forEach((_, side) => {
        parts.push(column(side, clip, "speakers") || "", column(side, clip, "words") || "", ...(of(side, clip, "notes") || []));
        for (const [who, code, message] of of(side, clip, "failures") || []) parts.push(who, code, message);
        for (const [, , steps] of of(side, clip, "readings") || []) {
          parts.push(steps.map((step) => (typeof step === "string" ? step : step[0] || "")).filter(Boolean).join(" "));
          parts.push(steps.map((step) => (typeof step === "string" ? step : step[1] || "")).filter(Boolean).join(" "));
        }
      });
      return parts.join("\n").toLocaleLowerCase();
    });
    return texts;
  }

  function ranking(metric, order) {
    if (!metric) return null;
    if (order === "change") return metric.change.map(Math.abs);
    const sign = (metric.better === "lower") === (order === "worst") ? 1 : -1;
    return metric.values[0].map((value) => sign * value);
  }
  // Greatest first, clips without a value last, equal ones in the order of the run.
  function sorted(clips, rank) {
    return rank ? [...clips].sort((a, b) => {
      const x = rank[a], y = rank[b];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a - b;
      return x === y ? a - b : x < y ? 1 : -1;
    }) : clips;
  }
  function refresh() {
    const words = state.query.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    let clips = ids.map((_, clip) => clip);
    if (words.length) {
      const lines = haystack();
      clips = clips.filter((clip) => words.every((word) => lines[clip].includes(word)));
    }
    visible = state.order === "listed" ? clips : sorted(clips, ranking(state.metric, state.order));
    drawTable();
  }

  const arithmetic = (metric) => metric.key.split("/")[1];
  const shownMetrics = () => {
    const sound = metrics.some((metric) => metric.headline && arithmetic(metric) === "sound");
    const usual = metrics.filter((metric) => (metric.headline && (!sound || arithmetic(metric) === "sound")) || metric === state.metric);
    return state.columns === "all" || !usual.length ? metrics : usual;
  };

  function drawTable() {
    const pages = Math.max(1, Math.ceil(visible.length / PAGE));
    state.page = Math.min(Math.max(0, state.page), pages - 1);
    const start = state.page * PAGE;
    const shown = visible.slice(start, start + PAGE);
    const columns = shownMetrics();
    const head = element("tr", {}, element("th", { scope: "col", text: "Clip" }));
    for (const metric of columns) {
      const active = metric === state.metric && state.order !== "listed";
      const ascending = (metric.better === "lower") !== (state.order === "worst");
      head.append(element("th", { scope: "col", title: metric.description, "aria-sort": active && state.order !== "change" ? (ascending ? "ascending" : "descending") : null },
        element("button", { type: "button", "data-key": metric.key, onclick: () => choose(metric) },
          `${metric.label}${active ? (state.order === "change" ? " Δ" : ascending ? " ▲" : " ▼") : ""}`,
          element("small", { class: "line", text: arithmetic(metric) + (metric.unit ? `, ${metric.unit}` : "") }))));
    }
    const body = element("tbody");
    for (const clip of shown) body.append(...rowsOf(clip, columns));
    byId("table").replaceChildren(element("thead", {}, head), body);
    byId("count").textContent = visible.length === ids.length ? `${ids.length.toLocaleString("en")} clips` : `${visible.length.toLocaleString("en")} of ${ids.length.toLocaleString("en")} clips`;
    byId("pages").hidden = pages < 2;
    byId("page").textContent = `${state.page + 1} of ${pages}`;
    byId("previous").disabled = state.page === 0;
    byId("next").disabled = state.page === pages - 1;
  }

  function rowsOf(clip, columns) {
    const open = state.open.has(clip);
    const failures = data.sides.flatMap((_, side) => (of(side, clip, "failures") || []).map((one) => one[1]));
    const button = element("button", { type: "button", "aria-expanded": String(open), "data-clip": clip, onclick: () => toggle(clip) }, element("bdi", { text: ids[clip] }));
    const cell = element("td", { class: "id" }, button, failures.length ? element("span", { class: "flag", text: [...new Set(failures)].join(", ") }) : null);
    const row = element("tr", { class: open ? "open" : null }, cell, ...columns.map((metric) => valueCell(metric, clip)));
    return open ? [row, element("tr", { class: "open" }, element("td", { class: "detail", colspan: columns.length + 1 }, details(clip)))] : [row];
  }
  function valueCell(metric, clip) {
    if (!second) return element("td", { text: number(metric.values[0][clip], metric.digits) });
    const change = metric.change[clip];
    const told = metric.better === "none" || !change ? "soft" : (change > 0) === (metric.better === "higher") ? "good" : "bad";
    return element("td", {}, `${number(metric.values[0][clip], metric.digits)} | ${number(metric.values[1][clip], metric.digits)}`,
      Number.isNaN(change) ? null : element("span", { class: `delta ${told}`, text: (change > 0 ? "+" : "") + number(change, metric.digits) }));
  }
  function toggle(clip) {
    if (!state.open.delete(clip)) state.open.add(clip);
    drawTable();
    focusClip(clip);
  }
  const focusClip = (clip) => byId("table").querySelector(`[data-clip="${clip}"]`)?.focus();
  function choose(metric) {
    const turns = metric === state.metric && (state.order === "worst" || state.order === "best");
    if (turns) state.order = state.order === "worst" ? "best" : "worst";
    else if (state.order !== "change") state.order = second ? "change" : "worst";
    state.metric = metric;
    state.page = 0;
    byId("metric").value = metric.key;
    byId("order").value = state.order;
    refresh();
    drawNotable();
    byId("table").querySelector(`[data-key="${CSS.escape(metric.key)}"]`)?.focus();
  }
  // From a card to its clip in the table, also if a search hides it.
  function show(clip) {
    state.query = byId("search").value = "";
    state.open.add(clip);
    refresh();
    state.page = Math.floor(visible.indexOf(clip) / PAGE);
    drawTable();
    focusClip(clip);
    byId("table").querySelector(`[data-clip="${clip}"]`)?.scrollIntoView({ block: "start" });
  }

  function details(clip) {
    const box = element("div", { class: "detail-box" });
    const facts = [["speaker", column(0, clip, "speakers")], ["word", column(0, clip, "words")], ["frames", column(0, clip, "frames")]].filter(([, value]) => value !== null);
    if (facts.length) box.append(element("div", { class: "soft" }, element("bdi", { text: facts.map(([name, value]) => `${name} ${value}`).join(", ") })));
    const sides = element("div", { class: second ? "two" : "" });
    data.sides.forEach((side, index) => {
      const own = element("div");
      if (second) own.append(element("h3", {}, element("i", { class: index ? "key b" : "key a" }), " ", element("bdi", { text: side.name })));
      if (places[index][clip] < 0) own.append(element("p", { class: "soft", text: "not in this run" }));
      else own.append(...seen(index, clip));
      sides.append(own);
    });
    const charts = data.charts.map((chart, place) => drawChart(chart, data.sides.map((_, side) => (of(side, clip, "curves") || {})[place]))).filter(Boolean);
    box.append(sides);
    if (charts.length) box.append(element("div", { class: "charts" }, ...charts));
    return box;
  }
  function seen(side, clip) {
    const parts = [picture(side, clip, true)];
    for (const [who, code, message] of of(side, clip, "failures") || []) parts.push(element("p", { class: "bad" }, element("bdi", { text: `${who}: ${code}: ${message}` })));
    for (const note of of(side, clip, "notes") || []) parts.push(element("p", { class: "soft" }, element("bdi", { text: note })));
    const readings = of(side, clip, "readings") || [];
    parts.push(...readings.map(aligned));
    if (!readings.length) parts.push(element("p", { class: "soft", text: "No text of this clip is kept in the run." }));
    return parts;
  }
  function picture(side, clip, full) {
    const found = of(side, clip, "pictures");
    if (!found) return element("p", { class: "soft", text: "No pictures of this clip were put on the page." });
    const figure = element("figure");
    if (found.strip) figure.append(element("img", { class: "strip", src: found.strip, alt: `${found.tiles} frames, evenly spaced: ${found.caption}`, loading: "lazy" }));
    if (full && found.preview) figure.append(element("video", { controls: true, preload: "metadata", src: found.preview, playsinline: true }));
    const caption = element("figcaption", {}, element("bdi", { text: found.strip ? `${found.tiles} frames: ${found.caption}` : found.caption || "" }));
    if (found.link) caption.append(" ", element("a", { href: found.link, text: "video" }));
    figure.append(caption);
    return figure;
  }
  function aligned([observer, way, steps]) {
    const words = element("span", { class: "words", dir: "auto" });
    for (const step of steps) {
      if (typeof step === "string") words.append(word("right", "", step, "right"));
      else if (step[0] === 0) words.append(word("added", "", step[1], `added: ${step[1]}`));
      else words.append(word("wrong", step[0], step[1] || "–", step[1] === 0 ? `${step[0]} was not read` : `${step[0]} was read as ${step[1]}`));
    }
    const wrong = steps.filter((step) => typeof step !== "string").length;
    const tally = wrong ? `${wrong} wrong` : "all right";
    return element("div", { class: "reading" }, element("span", { class: "who", text: `${observer}${way ? ` (${way})` : ""}: ${tally}` }), words);
  }
  const word = (kind, said, read, title) => element("span", { class: `word ${kind}`, title }, element("bdi", { class: "read", text: read }), said ? element("bdi", { class: "said", text: said }) : null);

  function decoded(curve) {
    if (!curve) return null;
    const [low, high, packed] = curve;
    return Array.from(atob(packed), (byte) => (byte.charCodeAt(0) === 255 ? NaN : low + ((high - low || 1) * byte.charCodeAt(0)) / 254));
  }
  function drawChart(chart, curves) {
    const lines = curves.map(decoded);
    if (!lines.some(Boolean)) return null;
    const [left, top, right, bottom] = [44, 6, 314, 96];
    const bounds = curves.filter(Boolean);
    let low = Math.min(...bounds.map((curve) => curve[0])), high = Math.max(...bounds.map((curve) => curve[1]));
    const flat = high - low < 1e-9;
    if (flat) [low, high] = [low - 0.5, high + 0.5];
    const length = Math.max(...lines.filter(Boolean).map((line) => line.length));
    const x = (place) => left + ((right - left) * place) / Math.max(1, length - 1);
    const y = (value) => bottom - ((bottom - top) * (value - low)) / (high - low);
    const digits = high - low < 1 ? 3 : high - low < 20 ? 2 : 1;
    const svg = drawn("svg", { viewBox: "0 0 320 112", role: "img" });
    svg.append(drawn("line", { x1: left, y1: bottom, x2: right, y2: bottom }), drawn("line", { x1: left, y1: top, x2: left, y2: bottom }));
    const half = (length - 1) / 2;
    if (chart.along === "offset") svg.append(drawn("line", { x1: x(half), y1: top, x2: x(half), y2: bottom }));
    svg.append(drawn("text", { x: left - 4, y: top + 8, "text-anchor": "end" }, number(high, digits)), drawn("text", { x: left - 4, y: bottom, "text-anchor": "end" }, number(low, digits)));
    const [begin, end] = chart.along === "offset" ? [`-${half}`, `+${half} frames`] : ["0", `frame ${length - 1}`];
    svg.append(drawn("text", { x: left, y: 108 }, begin), drawn("text", { x: right, y: 108, "text-anchor": "end" }, end));
    const said = [];
    lines.forEach((line, side) => {
      if (!line) return;
      let path = "", pen = "M";
      line.forEach((value, place) => {
        if (Number.isNaN(value)) pen = "M";
        else { path += `${pen}${x(place).toFixed(1)} ${y(value).toFixed(1)}`; pen = "L"; }
      });
      svg.append(drawn("path", { d: path, class: side ? "b" : "a" }));
      const name = second ? `${data.sides[side].name} ` : "";
      if (chart.along === "offset") {
        let best = -1;
        line.forEach((value, place) => { if (!Number.isNaN(value) && (best < 0 || value < line[best])) best = place; });
        svg.append(drawn("circle", { cx: x(best).toFixed(1), cy: y(line[best]).toFixed(1), r: 3, class: side ? "b" : "a" }));
        said.push(`${name}least ${number(curves[side][0], 2)} at ${best - half > 0 ? "+" : ""}${best - half}`);
      } else {
        said.push(`${name}${number(curves[side][0], digits)} to ${number(curves[side][1], digits)}`);
      }
    });
    const title = chart.title + (chart.unit ? ` (${chart.unit})` : "");
    svg.setAttribute("aria-label", `${title}: ${said.join("; ")}`);
    return element("figure", { class: "chart" }, element("figcaption", {}, `${title} `, element("small", {}, element("bdi", { text: said.join("; ") }))), svg);
  }

  function drawNotable() {
    const metric = state.metric;
    byId("notable").hidden = !metric || metric.better === "none" || ids.length < 2;
    if (byId("notable").hidden) return;
    byId("h-notable").textContent = second ? `Changed most: ${metric.label} (${arithmetic(metric)})` : `Worst and best: ${metric.label} (${arithmetic(metric)})`;
    const known = (clip) => !Number.isNaN((second ? metric.change : metric.values[0])[clip]);
    const everything = ids.map((_, clip) => clip).filter(known);
    const ranked = sorted(everything, ranking(metric, second ? "change" : "worst"));
    const ends = second
      ? ranked.filter((clip) => metric.change[clip] !== 0).slice(0, 2 * NOTABLE).map((clip) => [clip, (metric.change[clip] > 0) === (metric.better === "higher") ? "best" : "worst"])
      : [...ranked.slice(0, Math.min(NOTABLE, Math.ceil(ranked.length / 2))).map((clip) => [clip, "worst"]),
        ...sorted(everything, ranking(metric, "best")).slice(0, Math.min(NOTABLE, Math.floor(ranked.length / 2))).map((clip) => [clip, "best"])];
    byId("cards").replaceChildren(...ends.map(([clip, kind]) => card(clip, kind, metric)));
    if (!ends.length) byId("cards").append(element("p", { class: "soft", text: second ? "No clip changed by this metric." : "No clip was scored by this metric." }));
  }
  function card(clip, kind, metric) {
    const value = data.sides.map((_, side) => number(metric.values[side][clip], metric.digits)).join(" | ") + (metric.unit ? ` ${metric.unit}` : "");
    const head = element("div", { class: "head" }, element("button", { type: "button", onclick: () => show(clip) }, element("bdi", { text: ids[clip] })), element("b", { text: second ? value : `${kind}: ${value}` }));
    const made = element("article", { class: `card ${kind}` }, head);
    data.sides.forEach((side, index) => {
      if (second) made.append(element("small", {}, element("i", { class: index ? "key b" : "key a" }), " ", element("bdi", { text: side.name })));
      if (of(index, clip, "pictures")) made.append(picture(index, clip, false));
      const reading = (of(index, clip, "readings") || [])[0];
      if (reading) made.append(aligned(reading));
    });
    return made;
  }

  // The clips that the page opens with: a film of the real and the generated video, and what was read in it.
  function drawOpening() {
    const metric = metrics.find((one) => one.key === data.primary);
    byId("films")?.append(...data.opening.map((one) => {
      const clip = ids.indexOf(one.id);
      const value = `${number(metric.values[0][clip], metric.digits)}${metric.unit ? ` ${metric.unit}` : ""}`;
      const head = element("div", { class: "head" },
        element("h3", {}, one.kind === "only" ? "" : `${one.kind[0].toUpperCase()}${one.kind.slice(1)}: `, element("b", { text: `${metric.label} ${value}` })),
        element("button", { type: "button", onclick: () => show(clip) }, element("bdi", { text: one.id })));
      const made = element("article", { class: `card film ${one.kind}` }, head);
      if (one.video) {
        const names = element("div", { class: "columns" }, ...one.columns.map(([name]) => element("span", {}, element("bdi", { text: name }))));
        one.columns.forEach(([, share], place) => { names.children[place].style.flexGrow = share; });
        const film = element("video", { controls: true, loop: true, preload: "auto", src: one.video, playsinline: true, onloadedmetadata: () => film.style.setProperty("--ratio", film.videoHeight / film.videoWidth), "aria-label": `Clip ${one.id}: ${one.columns.map(([name]) => name).join(" and ")}, side by side` });
        made.append(names, film);
        if (one.note) made.append(element("small", { text: `Shows ${one.note}.` }));
      } else {
        if (of(0, clip, "pictures")?.strip) made.append(picture(0, clip, false));
        made.append(element("p", { class: "soft", text: one.why ? `No video: ${one.why}.` : "No video." }));
      }
      data.sides.forEach((side, index) => {
        const own = of(index, clip, "readings") || [];
        if (second && own.length) made.append(element("small", {}, element("i", { class: index ? "key b" : "key a" }), " ", element("bdi", { text: side.name })));
        made.append(...own.map(aligned));
        for (const [who, code] of of(index, clip, "failures") || []) made.append(element("p", { class: "bad", text: `${who}: ${code}` }));
      });
      return made;
    }));
  }

  // Distributions over clips, with the worst at the left for both directions.
  function drawSpreads() {
    for (const cell of document.querySelectorAll(".spread")) {
      const metric = metrics.find((one) => one.key === cell.dataset.metric);
      const values = metric ? Array.from(metric.values[0]).filter(Number.isFinite) : [];
      if (values.length < 2) { cell.textContent = "-"; continue; }
      let low = Infinity, high = -Infinity;
      for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
      const bins = new Array(24).fill(0);
      const turn = metric.better === "lower";
      for (const value of values) {
        const share = high > low ? (value - low) / (high - low) : 0.5;
        bins[Math.min(23, Math.floor((turn ? 1 - share : share) * 24))] += 1;
      }
      const most = Math.max(...bins);
      const ends = [number(turn ? high : low, metric.digits), number(turn ? low : high, metric.digits)];
      const svg = drawn("svg", { viewBox: "0 0 144 32", role: "img", "aria-label": `${values.length} clips from ${ends[0]} to ${ends[1]}` });
      bins.forEach((count, place) => { if (count) svg.append(drawn("rect", { x: place * 6, y: 32 - (31 * count) / most, width: 5, height: (31 * count) / most })); });
      cell.append(svg, element("small", { class: "line", text: `${ends[0]} … ${ends[1]}` }));
    }
  }

  function turnPage(by) {
    state.page += by;
    drawTable();
    byId("h-clips").scrollIntoView({ block: "start" });
    if (visible.length) focusClip(visible[state.page * PAGE]);
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const field = event.target.closest("input, select, textarea, video");
    if (field) {
      if (event.key === "Escape" && field.id === "search") { field.blur(); focusClip(visible[state.page * PAGE]); }
      return;
    }
    if (event.key === "/") byId("search").focus();
    else if (event.key === "n" && !byId("next").disabled) turnPage(1);
    else if (event.key === "p" && !byId("previous").disabled) turnPage(-1);
    else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && event.target.closest("#table")) {
      const buttons = [...byId("table").querySelectorAll("[data-clip]")];
      const here = buttons.indexOf(event.target);
      buttons[Math.min(buttons.length - 1, Math.max(0, here + (event.key === "ArrowDown" ? 1 : -1)))]?.focus();
    } else return;
    event.preventDefault();
  });

  const root = document.documentElement;
  const isDark = () => root.classList.contains("dark") || (!root.classList.contains("light") && matchMedia("(prefers-color-scheme: dark)").matches);
  const nameTheme = () => { byId("theme").textContent = isDark() ? "Light" : "Dark"; };
  byId("theme").addEventListener("click", () => { root.className = isDark() ? "light" : "dark"; nameTheme(); });
  nameTheme();

  for (const metric of metrics) byId("metric").append(element("option", { value: metric.key, text: `${metric.label} (${arithmetic(metric)})` }));
  const orders = { ...(second ? { change: "changed most" } : {}), worst: "worst first", best: "best first", listed: "as listed" };
  for (const [value, text] of Object.entries(orders)) byId("order").append(element("option", { value, text }));
  if (state.metric) byId("metric").value = state.metric.key;
  byId("order").value = state.order;
  byId("search").addEventListener("input", (event) => { state.query = event.target.value; state.page = 0; refresh(); });
  byId("metric").addEventListener("change", (event) => { state.metric = metrics.find((one) => one.key === event.target.value); state.page = 0; refresh(); drawNotable(); });
  byId("order").addEventListener("change", (event) => { state.order = event.target.value; state.page = 0; refresh(); });
  byId("columns").addEventListener("change", (event) => { state.columns = event.target.value; drawTable(); });
  byId("previous").addEventListener("click", () => turnPage(-1));
  byId("next").addEventListener("click", () => turnPage(1));
  byId("tools").hidden = byId("keys").hidden = false;
  refresh();
  if (data.opening) drawOpening();
  drawNotable();
  drawSpreads();
})();
