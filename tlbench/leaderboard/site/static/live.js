"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const SIZE = 96, PIXELS = SIZE * SIZE;

  // A drawn face, grey levels 64 to 190, so that 64 levels more still fit into a byte.
  function drawFace() {
    const face = new Uint8Array(PIXELS);
    for (let y = 0; y < SIZE; y++) {
      for (let x = 0; x < SIZE; x++) {
        const inside = (cx, cy, rx, ry) => ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1;
        let grey = 80 + x / 3;
        if (inside(48, 50, 34, 43)) grey = 178 - Math.abs(x - 42) * 0.7 + 8 * Math.sin(x * 1.7) * Math.sin(y * 1.3);
        if (inside(35, 40, 6, 4) || inside(61, 40, 6, 4)) grey = 75;
        if (inside(48, 55, 3, 7)) grey = 140;
        if (inside(48, 73, 14, 7)) grey = 118;
        if (inside(48, 73, 10, 3)) grey = 68;
        face[y * SIZE + x] = Math.round(Math.max(64, Math.min(190, grey)));
      }
    }
    return face;
  }

  // The same noise every time: numbers that are drawn by a rule, made normal by a sum of twelve.
  function drawNoise() {
    let state = 1;
    const uniform = () => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return state / 2 ** 32; };
    return Float64Array.from({ length: PIXELS }, () => { let sum = -6; for (let i = 0; i < 12; i++) sum += uniform(); return sum; });
  }

  const real = drawFace(), noise = drawNoise();
  const byte = (value) => Math.max(0, Math.min(255, Math.round(value)));
  const DAMAGE = {
    brighter: { most: 64, said: (n) => `${n} grey levels`, at: (n, i) => real[i] + n },
    noise: { most: 64, said: (n) => `standard deviation ${n}`, at: (n, i) => real[i] + n * noise[i] },
    mouth: {
      most: 100,
      said: (n) => `${n} %`,
      at: (n, i) => {
        const x = i % SIZE, y = Math.floor(i / SIZE);
        return x > 26 && x < 70 && y > 60 && y < 88 ? real[i] + (128 - real[i]) * n / 100 : real[i];
      },
    },
    shift: { most: 24, said: (n) => `${n} pixels`, at: (n, i) => real[i - Math.min(n, i % SIZE)] },
  };
  const damaged = (kind, n) => Uint8Array.from({ length: PIXELS }, (_, i) => byte(DAMAGE[kind].at(n, i)));

  const decibels = (error) => 10 * Math.log10(255 ** 2 / error);
  function psnr(image) {
    let wrapped = 0, square = 0;
    for (let i = 0; i < PIXELS; i++) {
      const difference = real[i] - image[i];
      wrapped += (difference * difference) & 255; // modulo 256, whether the difference wrapped before or not
      square += difference * difference;
    }
    return { paper: wrapped ? decibels(wrapped / PIXELS) : 100, sound: decibels(square / PIXELS) };
  }

  function paint(canvas, image) {
    const context = canvas.getContext("2d");
    const data = context.createImageData(SIZE, SIZE);
    image.forEach((grey, i) => data.data.set([grey, grey, grey, 255], 4 * i));
    context.putImageData(data, 0, 0);
  }

  const SVG = "http://www.w3.org/2000/svg";
  function drawn(name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  const LEFT = 34, RIGHT = 410, TOP = 10, BOTTOM = 172, LOWEST = 5, HIGHEST = 60;
  let series = [];
  function drawCurve(kind, n) {
    const most = DAMAGE[kind].most;
    const across = (at) => LEFT + (at / most) * (RIGHT - LEFT);
    const up = (value) => BOTTOM - ((Math.max(LOWEST, Math.min(HIGHEST, value)) - LOWEST) / (HIGHEST - LOWEST)) * (BOTTOM - TOP);
    const parts = [];
    for (const value of [10, 20, 30, 40, 50, 60]) {
      parts.push(drawn("line", { class: "grid", x1: LEFT, x2: RIGHT, y1: up(value), y2: up(value) }));
      parts.push(drawn("text", { class: "tick", x: LEFT - 5, y: up(value) + 4, "text-anchor": "end" }, value === HIGHEST ? "≥60" : String(value)));
    }
    for (const at of [0, most / 2, most]) parts.push(drawn("text", { class: "tick", x: across(at), y: BOTTOM + 18, "text-anchor": at ? (at === most ? "end" : "middle") : "start" }, String(at)));
    for (const way of ["sound", "paper"]) {
      const line = series.map((both, at) => `${at ? "L" : "M"}${across(at).toFixed(1)} ${up(both[way]).toFixed(1)}`).join("");
      const name = way === "paper" ? "as-published" : "sound";
      parts.push(drawn("path", { class: name, d: line }), drawn("circle", { class: name, cx: across(n), cy: up(series[n][way]), r: 5 }));
    }
    byId("psnr-curve").replaceChildren(...parts);
  }

  const number = (value, digits) => (Number.isFinite(value) ? value.toFixed(digits) : "∞");
  function refreshPicture(newKind) {
    const kind = byId("damage").value, slider = byId("strength");
    if (newKind) {
      slider.max = DAMAGE[kind].most;
      series = Array.from({ length: DAMAGE[kind].most + 1 }, (_, at) => psnr(damaged(kind, at)));
    }
    const n = Number(slider.value);
    byId("amount").textContent = DAMAGE[kind].said(n);
    slider.setAttribute("aria-valuetext", DAMAGE[kind].said(n));
    paint(byId("damaged"), damaged(kind, n));
    byId("psnr-paper").textContent = number(series[n].paper, 2);
    byId("psnr-sound").textContent = number(series[n].sound, 2);
    drawCurve(kind, n);
  }
  paint(byId("real"), real);
  byId("damage").addEventListener("change", () => refreshPicture(true));
  byId("strength").addEventListener("input", () => refreshPicture(false));
  refreshPicture(true);
  byId("psnr").hidden = false;

  // Sentences

  const wordsOf = (text) => text.toLowerCase().replace(/[’‘]/g, "'").split(/[^\p{L}\p{N}\p{M}']+/u).filter((word) => /[\p{L}\p{N}]/u.test(word));
  function edits(said, read) {
    let row = read.map((_, at) => at);
    row.push(read.length);
    for (let i = 0; i < said.length; i++) {
      const next = [i + 1];
      for (let j = 0; j < read.length; j++) next.push(Math.min(row[j] + (said[i] !== read[j]), row[j + 1] + 1, next[j] + 1));
      row = next;
    }
    return row[read.length];
  }
  const percent = (rate) => (Number.isFinite(rate) ? `${(100 * rate).toFixed(1)} %` : "-");

  function addClip(said, read) {
    const field = (label, value) => {
      const box = document.createElement("label");
      const input = document.createElement("input");
      input.value = value;
      input.spellcheck = false;
      input.addEventListener("input", refreshWords);
      box.append(label, input);
      return box;
    };
    const line = document.createElement("li");
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "Remove";
    remove.className = "quiet";
    remove.addEventListener("click", () => {
      const beside = (line.nextElementSibling || line.previousElementSibling);
      line.remove();
      refreshWords();
      (beside ? beside.querySelector("button") : byId("add")).focus();
    });
    line.append(field("said", said), field("read", read), document.createElement("output"), remove);
    byId("utterances").append(line);
    return line;
  }

  function refreshWords() {
    let errors = 0, words = 0, rates = 0, clips = 0;
    for (const line of byId("utterances").children) {
      const [said, read] = [...line.querySelectorAll("input")].map((input) => wordsOf(input.value));
      const found = edits(said, read);
      errors += found;
      words += said.length;
      line.querySelector("output").textContent = said.length ? `${found} of ${said.length}: ${percent(found / said.length)}` : "nothing said";
      if (said.length) { rates += found / said.length; clips += 1; }
    }
    byId("wer-paper").textContent = percent(rates / clips);
    byId("wer-sound").textContent = percent(errors / words);
    byId("wer-paper-how").textContent = `mean of ${clips} rates`;
    byId("wer-sound-how").textContent = `${errors} errors, ${words} words`;
  }

  addClip("yes", "we guess");
  addClip("the rain will reach the north by noon and the south by night", "the rain will reach the north by noon and the south by light");
  addClip("nobody had seen the letter before Monday", "nobody had been the letter before Monday");
  byId("add").addEventListener("click", () => {
    addClip("", "").querySelector("input").focus();
    refreshWords();
  });
  refreshWords();
  byId("wer").hidden = false;
})();
