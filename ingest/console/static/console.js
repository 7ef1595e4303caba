// Live numbers for a page that asks for them; without this every page works, and shows what was when it was loaded.
"use strict";
for (const place of document.querySelectorAll("[data-stream]")) {
  const source = new EventSource(place.dataset.stream);
  source.addEventListener("numbers", (event) => {
    const numbers = JSON.parse(event.data);
    for (const each of document.querySelectorAll("[data-live]")) {
      const text = numbers[each.dataset.live];
      if (text !== undefined && each.textContent !== text) each.textContent = text;
    }
    document.body.classList.remove("stale");
  });
  source.addEventListener("error", () => document.body.classList.add("stale"));
  addEventListener("pagehide", () => source.close());
}
