// For keyboards and screen readers. The theme adds the bar of a code block's copy button and the frame of a wide table
// after the page is loaded: each bar is a landmark without a name, and no key scrolls such a table.
"use strict";

function mend() {
  for (const bar of document.querySelectorAll(".md-code__nav")) bar.setAttribute("role", "none");
  for (const frame of document.querySelectorAll(".md-typeset__scrollwrap")) {
    if (frame.scrollWidth > frame.clientWidth) frame.tabIndex = 0;
    else frame.removeAttribute("tabindex");
  }
}

new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
addEventListener("resize", mend);
mend();
