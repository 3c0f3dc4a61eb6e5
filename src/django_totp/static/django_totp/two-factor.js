// Comfort only: the pages say and do all they have to without this script.
"use strict";

// A wait counts down where it is told. Screen readers hear its beginning and its end.
for (const place of document.querySelectorAll("[data-retry-after]")) {
  const { retryAfter, counting, over } = place.dataset;
  const end = Date.now() + retryAfter * 1000;
  const ticking = setInterval(() => {
    const left = Math.ceil((end - Date.now()) / 1000);
    if (left > 0) {
      const time = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
      place.setAttribute("aria-live", "off");
      place.textContent = counting.replace("{time}", time);
    } else {
      clearInterval(ticking);
      place.removeAttribute("aria-live");
      place.textContent = over;
    }
  }, 1000);
}

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

// Browsers have a clipboard for pages only where nobody listens in.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    const list = document.getElementById(button.dataset.copy);
    const lines = [...list.children].map((item) => item.textContent);
    await navigator.clipboard.writeText(lines.join("\n"));
    button.parentElement.querySelector("[role=status]").textContent = button.dataset.copied;
  });
}

// A second press sends nothing: the code of the first one would be used by then.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if ("sent" in form.dataset) event.preventDefault();
    form.dataset.sent = "";
  });
  addEventListener("pageshow", () => delete form.dataset.sent);
}
