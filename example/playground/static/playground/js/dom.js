// What both pages need of the document.

export const byId = (id) => document.getElementById(id);

export function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}

export function fillList(list, texts) {
  list.replaceChildren(
    ...texts.map((text) => {
      const item = document.createElement("li");
      item.append(element("code", text));
      return item;
    }),
  );
}

// Draw SVG source as a picture: in an <img> no script runs and nothing is loaded.
export function drawSvg(image, source) {
  const url = URL.createObjectURL(new Blob([source], { type: "image/svg+xml" }));
  return new Promise((resolve, reject) => {
    image.onload = resolve;
    image.onerror = () => reject(new Error("The browser cannot draw this SVG. Is it complete?"));
    image.src = url;
  }).finally(() => URL.revokeObjectURL(url));
}

// Say `text` in `place`, where it can be seen, and take back what was said around it.
export function say(place, text) {
  clearNotices(place);
  place.textContent = text;
  if (text) place.scrollIntoView({ block: "nearest" });
}

export function clearNotices(place) {
  const notices = place.closest("[data-notices]").querySelectorAll("[data-notice]");
  for (const notice of notices) notice.textContent = "";
}

// Show what went wrong in `place`, and where the server says when to try again, count down.
export function showProblem(place, error) {
  clearProblem(place);
  place.append(element("p", error.message, { class: "error", role: "alert" }));
  if (error.retryAfter) countDown(place, error.retryAfter);
  place.scrollIntoView({ block: "nearest" });
}

export function clearProblem(place) {
  clearInterval(Number(place.dataset.timer));
  place.replaceChildren();
  for (const field of fields(place.closest("form") ?? place)) field.ariaInvalid = null;
}

function countDown(place, seconds) {
  const line = element("p", "", { class: "wait", "aria-live": "off" });
  const end = Date.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((end - Date.now()) / 1000);
    if (left <= 0) {
      clearInterval(Number(place.dataset.timer));
      line.ariaLive = "polite"; // the seconds are not read out, the end is
    }
    line.textContent = left > 0 ? `${left} s left` : "You can try again now.";
  };
  place.dataset.timer = setInterval(tick, 500);
  tick();
  place.append(line);
}

// Run `act`, once at a time, and show in `place` how it failed.
export async function attempt(control, place, act) {
  if (control.ariaBusy === "true") return;
  control.ariaBusy = "true";
  clearProblem(place);
  clearNotices(place);
  try {
    await act();
  } catch (error) {
    showProblem(place, error);
    retype(control, error);
  } finally {
    control.ariaBusy = null;
  }
}

const fields = (form) => form.querySelectorAll("input:not([type=checkbox]), textarea");

// The last field is the one to type again: after a name, the password. It is not wrong where the
// server only asks for patience, or does not answer.
function retype(form, error) {
  const field = [...fields(form)].at(-1);
  if (!field) return;
  if (![0, 429].includes(error.status)) field.ariaInvalid = "true";
  field.focus();
  field.select();
}

export function onSubmit(form, act) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(form, form.querySelector("[data-problem]"), () => act(new FormData(form)));
  });
}
