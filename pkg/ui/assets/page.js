// Keeps the page as it is on the server, tells about addresses, and moves between them.
"use strict";

const main = document.getElementById("main");
const live = document.getElementById("live");
const tip = document.getElementById("tip");
// What the server sends is made by its templates, which escape what users typed.
const policy = window.trustedTypes ? trustedTypes.createPolicy("page", { createHTML: (text) => text }) : { createHTML: (text) => text };

// --- what changed

let tag = "", running = false, again = false;

// refresh shows what the server has now, one request at a time.
async function refresh() {
  if (running) { again = true; return; }
  running = true;
  do {
    again = false;
    const at = location.href;
    try {
      const answer = await fetch(at, { headers: tag ? { "If-None-Match": tag } : {} });
      if (answer.status === 403) { state("bad", "This page has ended. Open the address that kubectl vip ui printed."); break; }
      if (answer.status !== 304 && at === location.href) {
        tag = answer.headers.get("ETag") || "";
        show(new DOMParser().parseFromString(policy.createHTML(await answer.text()), "text/html"));
      }
    } catch { break; } // the connection for events says so, and comes back
  } while (again);
  running = false;
}

function show(page) {
  document.title = page.title;
  for (const part of ["header nav", "header .where", "#trouble", "#main", "footer"]) {
    const [old, now] = [document.querySelector(part), page.querySelector(part)];
    if (old && now) { morph(old, now); }
  }
  settle();
}

// morph makes the old element what the new one is, and keeps what is equal: the focus, the
// place where somebody reads, what is being typed.
function morph(old, now) {
  for (const { name } of [...old.attributes]) { if (!now.hasAttribute(name)) { old.removeAttribute(name); } }
  for (const { name, value } of now.attributes) {
    if (old.getAttribute(name) === value) { continue; }
    if (name === "data-state" && old.classList.contains("cell")) { flash(old); }
    old.setAttribute(name, value);
  }
  const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let next = old.firstChild;
  for (const child of [...now.childNodes]) {
    const known = child.id ? named.get(child.id) : next;
    if (known && known.nodeName === child.nodeName && (known.id || "") === (child.id || "")) {
      if (known !== next) { old.insertBefore(known, next); } else { next = next.nextSibling; }
      if (known.nodeType === Node.ELEMENT_NODE) { morph(known, child); } else if (known.data !== child.data) { known.data = child.data; }
    } else {
      old.insertBefore(child, next);
    }
  }
  while (next) { const gone = next; next = next.nextSibling; gone.remove(); }
}

function flash(element) {
  element.classList.add("news");
  setTimeout(() => element.classList.remove("news"), 2000);
}

// --- whether it is current

let events = null;

function follow() {
  if (events || document.hidden) { return; } // browsers give one page few connections
  events = new EventSource("/events");
  events.addEventListener("hello", () => { state("good", "live"); refresh(); });
  events.addEventListener("changed", refresh);
  events.onerror = () => state("bad", "kubectl vip ui does not answer");
}

function state(tone, words) {
  if (live.textContent !== words) { live.className = "live " + tone; live.textContent = words; }
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden && events) { events.close(); events = null; }
  follow();
});
window.addEventListener("pagehide", () => { if (events) { events.close(); events = null; } });
window.addEventListener("pageshow", follow);

// --- times

const units = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];

function age(time) {
  const seconds = Math.max(Math.round((Date.now() - new Date(time)) / 1000), 0);
  const [size, name] = units.find(([size]) => seconds >= size) || units[3];
  return Math.floor(seconds / size) + name + " ago";
}

function tellTimes() {
  for (const time of document.querySelectorAll("time")) {
    const words = age(time.dateTime);
    if (time.textContent !== words) { time.title = new Date(time.dateTime).toLocaleString(); time.textContent = words; }
  }
}
setInterval(tellTimes, 10000);

// --- addresses

// settle does what a page needs that is new or has changed: one stop of the Tab key a grid.
function settle() {
  tellTimes();
  for (const grid of document.querySelectorAll(".grid")) {
    const cells = grid.querySelectorAll(".cell");
    for (const cell of cells) { cell.tabIndex = -1; }
    const current = grid.contains(document.activeElement) ? document.activeElement : grid.querySelector("a.cell") || cells[0];
    if (current) { current.tabIndex = 0; }
  }
  if (told && !told.isConnected) { hide(); } else if (told) { tell(told); }
}

let told = null;

function tell(cell) {
  told = cell;
  const lines = (cell.dataset.tip || cell.getAttribute("aria-label").replace(", ", "\n")).split("\n");
  tip.replaceChildren(...lines.map((line, i) => {
    const p = document.createElement("p");
    const [, name, value] = i > 1 ? line.match(/^(\w+): (.*)$/) || [] : [];
    if (!name) { p.textContent = line; return p; }
    const b = document.createElement("b");
    b.textContent = name;
    p.append(b, value);
    return p;
  }));
  tip.hidden = false;
  const [at, size] = [cell.getBoundingClientRect(), tip.getBoundingClientRect()];
  const below = at.bottom + 8 + size.height < window.innerHeight || at.top < size.height + 8;
  tip.style.top = (below ? at.bottom + 8 : at.top - size.height - 8) + "px";
  tip.style.left = Math.max(8, Math.min(at.left, window.innerWidth - size.width - 8)) + "px";
}

function hide() { told = null; tip.hidden = true; }

const cellAt = (event) => event.target instanceof Element ? event.target.closest(".grid .cell") : null;
for (const begin of ["pointerover", "focusin"]) {
  document.addEventListener(begin, (event) => { const cell = cellAt(event); if (cell) { tell(cell); } else if (begin === "pointerover" && !tip.contains(event.target)) { hide(); } });
}
document.addEventListener("focusout", (event) => { if (cellAt(event)) { hide(); } });
window.addEventListener("scroll", hide, { passive: true });

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { hide(); }
  const cell = cellAt(event);
  if (!cell || event.ctrlKey || event.altKey || event.metaKey) { return; }
  const to = neighbour(cell, event.key);
  if (!to) { return; }
  event.preventDefault();
  cell.tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
  tell(to); // scrolling there has hidden it
});

function neighbour(cell, key) {
  const cells = [...cell.closest(".grid").querySelectorAll(".cell")];
  const at = cells.indexOf(cell);
  switch (key) {
    case "ArrowRight": return cells[at + 1];
    case "ArrowLeft": return cells[at - 1];
    case "Home": return cells[0];
    case "End": return cells[cells.length - 1];
    case "ArrowDown": case "ArrowUp": {
      const here = cell.getBoundingClientRect();
      const others = key === "ArrowDown" ? cells.slice(at + 1) : cells.slice(0, at).reverse();
      return others.find((other) => {
        const there = other.getBoundingClientRect();
        return Math.abs(there.left - here.left) < here.width / 2 && Math.abs(there.top - here.top) > here.height / 2;
      });
    }
  }
  return undefined;
}

// --- finding

let typing = 0;

function find(form) {
  const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
  const search = query.toString();
  history.replaceState(null, "", location.pathname + (search ? "?" + search : ""));
  refresh();
}

document.addEventListener("input", (event) => {
  const form = event.target.closest("form.filter");
  if (form) { clearTimeout(typing); typing = setTimeout(find, 150, form); }
});
document.addEventListener("submit", (event) => {
  if (event.target.matches("form.filter")) { event.preventDefault(); find(event.target); }
});

settle();
follow();
