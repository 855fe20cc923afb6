"use strict";
// Stands in the head, so that a page chosen to be dark is never light for a moment.
(() => {
  const KEY = "tlbench-theme";
  const root = document.documentElement;
  const isDark = () => root.classList.contains("dark") || (!root.classList.contains("light") && matchMedia("(prefers-color-scheme: dark)").matches);
  function stored() {
    try { return localStorage.getItem(KEY); } catch { return null; } // some browsers keep nothing for files
  }
  if (["light", "dark"].includes(stored())) root.classList.add(stored());
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
    button.hidden = false;
    name();
    button.addEventListener("click", () => {
      const next = isDark() ? "light" : "dark";
      root.classList.remove("light", "dark");
      root.classList.add(next);
      try { localStorage.setItem(KEY, next); } catch { /* this page only, then */ }
      name();
    });
  });
})();
