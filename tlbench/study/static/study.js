// The page of a video: answers are enabled after the video was watched, keys give answers, errors are explained.
// The forms also work without this script.
"use strict";

const WATCHED = 0.9; // of the video; the last moment is often not counted as played

function watchedShare(video) {
  let seconds = 0;
  for (let i = 0; i < video.played.length; i++) seconds += video.played.end(i) - video.played.start(i);
  return video.duration > 0 ? seconds / video.duration : 0;
}

function say(hint, text, wrong) {
  hint.textContent = text;
  hint.classList.toggle("wrong", wrong);
}

function openWhenWatched(video, form, hint) {
  const closed = form.querySelectorAll("fieldset, button");
  const first = form.querySelector("fieldset input");
  closed.forEach((part) => { part.disabled = true; });
  video.addEventListener("ended", () => {
    if (!closed[0].disabled) return;
    if (watchedShare(video) < WATCHED) {
      say(hint, "Please watch all of it: play it again from the start.", true);
      return;
    }
    closed.forEach((part) => { part.disabled = false; });
    say(hint, "Now your answers. You may play it again.", false);
    first.focus({ preventScroll: true });
    if (form.getBoundingClientRect().top > window.innerHeight * 0.8) form.scrollIntoView({ behavior: "smooth" });
  });
}

function play(video) {
  video.play().catch(() => {}); // the browser wants a click first: the button is there
}

function playAgain(video) {
  video.currentTime = 0;
  play(video);
}

// Replaces the browser's controls, which would cover the mouth, by a button below the picture.
function replaceControls(video, button) {
  video.controls = false;
  button.hidden = false;
  button.addEventListener("click", () => playAgain(video));
  video.addEventListener("click", () => playAgain(video));
  video.addEventListener("playing", () => { button.textContent = "Play again"; });
}

// A digit answers the focused question, or the first one without an answer.
function answerByDigit(form, digit) {
  const questions = [...form.querySelectorAll("[data-question]")];
  const focused = document.activeElement && document.activeElement.closest("[data-question]");
  const open = questions.find((question) => !question.querySelector("input:checked"));
  const unanswered = focused && !focused.querySelector("input:checked") ? focused : open;
  const question = unanswered || focused || questions[questions.length - 1];
  const inputs = question.querySelectorAll("input[type=radio]");
  if (question.disabled || digit < 1 || digit > inputs.length) return;
  inputs[digit - 1].checked = true;
  inputs[digit - 1].focus({ preventScroll: false });
  const next = questions.find((other) => !other.querySelector("input:checked"));
  if (next) next.querySelector("input").focus();
}

function listenToKeys(video, form) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input:not([type=radio])")) return;
    if (/^[1-9]$/.test(event.key)) {
      answerByDigit(form, Number(event.key));
    } else if (event.key === "r" || event.key === "R") {
      playAgain(video);
    } else if (event.key === " " && event.target === document.body) {
      if (video.paused) play(video);
      else video.pause();
    } else if (event.key === "Enter" && event.target === document.body) {
      const button = form.querySelector("button");
      if (!button.disabled) form.requestSubmit(button);
    } else {
      return;
    }
    event.preventDefault();
  });
}

const video = document.querySelector("video");
if (video) {
  const form = document.querySelector(".answers");
  const hint = document.querySelector("[data-hint]");
  replaceControls(video, document.querySelector("[data-play]"));
  if (video.hasAttribute("data-watch")) openWhenWatched(video, form, hint);
  listenToKeys(video, form);
  video.addEventListener("error", () => {
    say(hint, "This video can't be played here. Please reload the page, or try another browser.", true);
  });
  form.addEventListener("submit", () => {
    // Disabled after the data were read, so that a second click does not send the form twice.
    setTimeout(() => form.querySelectorAll("button").forEach((button) => { button.disabled = true; }), 0);
  });
  play(video);
}
