// What the pages of the hub need beyond HTML. They work without it, too.
"use strict";

// JupyterHub's own pages take light or dark from this attribute; ours from the system itself.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.setAttribute("data-bs-theme", dark.matches ? "dark" : "light");
follow();
dark.addEventListener("change", follow);

document.addEventListener("DOMContentLoaded", () => {
  // Show the passwords of a form, for those who prefer to see what they type.
  for (const box of document.querySelectorAll("input[data-reveals]")) {
    const fields = [...box.form.querySelectorAll("input[type=password]")];
    box.closest("label").hidden = false;
    box.addEventListener("change", () => fields.forEach((field) => (field.type = box.checked ? "text" : "password")));
  }
  // Say it where it is typed when the two passwords differ.
  for (const again of document.querySelectorAll("input[data-repeats]")) {
    const first = document.getElementById(again.dataset.repeats);
    const compare = () => again.setCustomValidity(again.value === first.value ? "" : "The two passwords differ.");
    first.addEventListener("input", compare);
    again.addEventListener("input", compare);
  }
  for (const button of document.querySelectorAll("button[data-asks]")) {
    button.addEventListener("click", (event) => {
      if (!window.confirm(button.dataset.asks)) event.preventDefault();
    });
  }
  // A form is sent once; logging in takes a moment on purpose.
  for (const form of document.querySelectorAll("form[data-once]")) {
    form.addEventListener("submit", () => {
      const button = form.querySelector("button[type=submit]");
      button.setAttribute("aria-busy", "true");
      setTimeout(() => (button.disabled = true), 0);
    });
  }
  // Times are sent in UTC and shown in the reader's zone.
  for (const time of document.querySelectorAll("time[datetime]:not([data-utc])")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) {
      time.title = `${time.dateTime} (UTC)`;
      time.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    }
  }
});
