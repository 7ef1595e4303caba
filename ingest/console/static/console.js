// Live numbers for a page that asks for them; without this every page works, and shows what was when it was loaded.
"use strict";
for (const place of document.querySelectorAll("[data-stream]")) {
  const source = new EventSource(place.dataset.stream);
  source.addEventListener("numbers", (event) => {
    const numbers = JSON.parse(event.data);
    for (const each of document.querySelectorAll("[data-live]")) {
      const text = numbers[each.dataset.live];
      if (text === undefined || each.textContent === text) continue;
      each.textContent = text;
      if (each.getAttribute("role") === "alert") each.hidden = !text;
    }
    document.body.classList.remove("stale");
  });
  source.addEventListener("error", () => document.body.classList.add("stale"));
  addEventListener("pagehide", () => source.close());
}

// A part of a page that changes: it is fetched again, as long as the page says so.
for (const place of document.querySelectorAll("[data-refresh][id]")) {
  const again = async () => {
    if (place.contains(document.activeElement)) return setTimeout(again, 1000 * place.dataset.refresh);
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(place.id);
      if (answer.ok && fresh) {
        place.replaceChildren(...fresh.childNodes);
        if (!fresh.dataset.refresh) return;
      }
      document.body.classList.remove("stale");
    } catch {
      document.body.classList.add("stale");
    }
    setTimeout(again, 1000 * place.dataset.refresh);
  };
  setTimeout(again, 1000 * place.dataset.refresh);
}

// What the judge says of what is typed; without this the button says it.
for (const form of document.querySelectorAll("form[data-judge]")) {
  const word = form.querySelector("[role=status]");
  let waiting = 0, asked = 0;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const number = ++asked;
      try {
        const answer = await fetch(form.dataset.judge, { method: "POST", body: new URLSearchParams(new FormData(form)) });
        const said = await answer.json();
        if (number !== asked) return;
        word.textContent = said.text;
        word.className = "verdict " + (said.passes ? "good" : said.passes === null ? "warn" : "bad");
        word.hidden = false;
      } catch {
        word.hidden = true;
      }
    }, 400);
  });
}
