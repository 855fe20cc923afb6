"use strict";
// Asks for the states of runs and writes them into the list. A run that is new, or has ended, loads the page again.
const PERIOD = 2000; // milliseconds
const live = document.getElementById("live");
const shown = new Map();
for (const item of document.querySelectorAll(".run")) shown.set(item.dataset.run, item);

function update(item, run) {
  item.querySelector(".label").textContent = run.shown.label;
  item.querySelector(".told").textContent = run.shown.told;
  const bar = item.querySelector("progress");
  if (bar && run.shown.total) {
    bar.max = run.shown.total;
    bar.value = run.shown.done;
  }
}

function isOther(run) {
  const item = shown.get(run.id);
  return !item || item.dataset.state !== run.state;
}

async function ask() {
  if (document.hidden) return;
  try {
    const answer = await fetch("runs.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const runs = await answer.json();
    if (runs.length !== shown.size || runs.some(isOther)) {
      if (!document.activeElement || document.activeElement.tagName !== "SELECT") location.reload();
      return;
    }
    for (const run of runs) update(shown.get(run.id), run);
    live.textContent = "";
  } catch (error) {
    live.textContent = "tlbench view has ended; start it again to see what runs now.";
  }
}
setInterval(ask, PERIOD);
