// What the gallery's pages need beyond HTML. They work without it, too: nothing here is the only way to do a thing.
"use strict";

// Times stay in UTC; where the reader's own zone is another one, the time there is their title.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "your zone";
const localise = (root) => {
  for (const time of root.querySelectorAll("time[data-utc]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) {
      time.title = `${at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "medium" })} (${zone})`;
    }
  }
};

// A part of a page that changes by itself: asked for again as long as somebody looks, and replaced where it differs.
const swap = (place, html) => {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  for (const part of fresh.content.querySelectorAll("[data-into]")) {
    const target = document.getElementById(part.dataset.into);
    if (target && target.innerHTML.trim() !== part.innerHTML.trim()) target.innerHTML = part.innerHTML;
  }
  const held = place.contains(document.activeElement) ? document.activeElement : null;
  const rows = [...fresh.content.querySelectorAll("tr[id]")];
  const known = [...place.querySelectorAll("tr[id]")];
  const same = rows.length && rows.length === known.length && rows.every((row, at) => row.id === known[at].id);
  if (same) {
    rows.forEach((row, at) => {
      const plain = known[at].cloneNode(true);
      plain.querySelectorAll("time[title]").forEach((time) => time.removeAttribute("title"));
      if (plain.innerHTML !== row.innerHTML && !known[at].contains(held)) known[at].replaceWith(row);
    });
  } else {
    place.replaceChildren(fresh.content);
    if (held && held.id) document.getElementById(held.id)?.focus();
  }
  localise(place);
};

const watch = (place) => {
  const pause = Number(place.dataset.every) * 1000;
  let mark = "";
  let failures = 0;
  const ask = async () => {
    if (document.hidden) return again();
    try {
      const answer = await fetch(place.dataset.live, {
        headers: { Accept: "text/html", ...(mark ? { "If-None-Match": mark } : {}) },
        cache: "no-store",
        redirect: "error",
      });
      failures = answer.ok || answer.status === 304 ? 0 : failures + 1;
      if (answer.status === 401 || answer.status === 403 || answer.status === 404) return undefined;
      if (answer.ok) {
        mark = answer.headers.get("ETag") || "";
        swap(place, await answer.text());
        if ("ends" in place.dataset && place.querySelector("[data-final=yes]")) return ended(place);
      }
    } catch {
      failures += 1;
    }
    return again();
  };
  const again = () => setTimeout(ask, pause * Math.min(2 ** failures, 20));
  again();
};

// A run has ended: the whole page has more to show now. Nobody loses what he was writing.
const ended = (place) => {
  const writing = [...document.querySelectorAll("textarea, input:not([type=hidden])")].some((field) => field.value !== field.defaultValue);
  if (!writing) return window.location.reload();
  const note = document.createElement("p");
  const link = document.createElement("a");
  link.href = window.location.href;
  link.textContent = "It has ended: show what it left.";
  note.append(link);
  return place.append(note);
};

document.addEventListener("DOMContentLoaded", () => {
  localise(document);
  document.querySelectorAll("[data-live]").forEach(watch);

  // A choice in a filter is meant at once; typing waits for the button or the enter key.
  for (const form of document.querySelectorAll("form.qg-filter")) {
    form.addEventListener("change", (event) => event.target.matches("select") && form.requestSubmit());
  }

  // Two runs are compared, not more: who ticks a third lets go of the first.
  for (const form of document.querySelectorAll("form[data-picks]")) {
    const ticked = [];
    const button = form.querySelector("button[type=submit]");
    const tell = () => (button.disabled = form.querySelectorAll("input[name=run]:checked").length !== 2);
    form.addEventListener("change", (event) => {
      if (!event.target.matches("input[name=run]")) return;
      const at = ticked.indexOf(event.target);
      if (at >= 0) ticked.splice(at, 1);
      if (event.target.checked) ticked.push(event.target);
      if (ticked.length > Number(form.dataset.picks)) ticked.shift().checked = false;
      tell();
    });
    form.querySelectorAll("input[name=run]:checked").forEach((box) => ticked.push(box));
    tell();
  }

  // What a schedule means, while it is typed.
  for (const form of document.querySelectorAll("form[data-preview]")) {
    const [trigger, timezone] = [form.elements.trigger, form.elements.timezone];
    const place = form.querySelector("#preview");
    let timer;
    let asked = 0;
    const show = async () => {
      const mine = (asked += 1);
      if (!trigger.value.trim()) return place.replaceChildren();
      const answer = await fetch(`${form.dataset.preview}?${new URLSearchParams({ trigger: trigger.value, timezone: timezone.value })}`);
      if (answer.ok && mine === asked) {
        place.innerHTML = await answer.text();
        localise(place);
      }
      return undefined;
    };
    for (const field of [trigger, timezone]) {
      field.addEventListener("input", () => {
        clearTimeout(timer);
        timer = setTimeout(show, 350);
      });
    }
  }
});
