// What a page does beyond its HTML: takes live fragments and copies its command. Without it everything still works.
//
// A stream sends {"name": "<html>"} for each fragment that changed; the element with data-live="name" takes it. What a
// person is doing in a fragment (typing, an open table) is left alone.

const stream = document.querySelector("[data-stream]");

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
  stream.textContent = text;
  stream.toggleAttribute("data-on", on);
}

function follow() {
  const source = new EventSource(stream.dataset.stream);
  source.addEventListener("open", () => say("Live", true));
  source.addEventListener("error", () => say("Reconnecting", false));
  source.addEventListener("fragments", (event) => {
    for (const [name, html] of Object.entries(JSON.parse(event.data))) {
      replace(name, html);
    }
  });
  source.addEventListener("over", () => {
    source.close();
    say("Signed out", false);
    window.location.reload();
  });
  window.addEventListener("pagehide", () => source.close());
}

if (stream !== null) {
  follow();
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  });
}
