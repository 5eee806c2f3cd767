// What a page does beyond its HTML: takes live fragments and copies its command. Without it everything still works.
//
// A stream sends {"name": "<html>"} for each fragment that changed; the element with data-live="name" takes it. What a
// person is doing in a fragment (typing, an open table) is left alone. A page that nobody sees takes nothing: a browser
// keeps six connections to a plane that speaks HTTP/1.1, and a seventh page would not load.

const stream = document.querySelector("[data-stream]");
const TEND_MS = 2_000;

let source = null;
let heard = 0;

function keep(element) {
  const inside = document.activeElement;
  return inside !== null && element.contains(inside) && inside.matches("input, select, textarea");
}

function replace(name, html) {
  const element = document.querySelector(`[data-live="${CSS.escape(name)}"]`);
  if (element === null || keep(element)) {
    return;
  }
  const open = [...element.querySelectorAll("details[open][id]")].map((each) => each.id);
  const focused = element.contains(document.activeElement) ? document.activeElement.id : "";
  const drawn = document.createElement("template");
  drawn.innerHTML = html;
  for (const each of drawn.content.querySelectorAll("details[id]")) {
    each.open = open.includes(each.id);
  }
  element.replaceChildren(drawn.content);
  if (focused) {
    document.getElementById(focused)?.focus({ preventScroll: true });
  }
}

function say(text, on) {
  if (stream.textContent !== text) {
    stream.textContent = text;
  }
  stream.toggleAttribute("data-on", on);
}

function close() {
  source?.close();
  source = null;
}

function open() {
  source = new EventSource(stream.dataset.stream);
  heard = Date.now();
  source.addEventListener("error", () => say("Reconnecting", false));
  source.addEventListener("fragments", (event) => {
    heard = Date.now();
    say("Live", true);
    for (const [name, html] of Object.entries(JSON.parse(event.data))) {
      replace(name, html);
    }
  });
  source.addEventListener("over", () => {
    close();
    clearInterval(tending);
    say("Signed out", false);
    window.location.reload();
  });
}

// Opens the stream again when it was refused, which an EventSource takes for the end, or when nothing was heard of it
// for too long: not even the signs of life of a plane where nothing changes.
function tend() {
  const quiet = Date.now() - heard > Number(document.body.dataset.quiet);
  if (document.hidden || source?.readyState === EventSource.CLOSED || quiet) {
    close();
  }
  if (!document.hidden && source === null) {
    if (heard) {
      say("Reconnecting", false);
    }
    open();
  }
}

let tending = 0;
if (stream !== null) {
  tend();
  tending = setInterval(tend, TEND_MS);
  document.addEventListener("visibilitychange", tend);
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", tend);
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  });
}
