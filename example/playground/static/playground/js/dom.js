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

// Show what went wrong in `place`, and where the server says when to try again, count down.
export function showProblem(place, error) {
  clearProblem(place);
  place.append(element("p", error.message, { class: "error", role: "alert" }));
  if (error.retryAfter) countDown(place, error.retryAfter);
}

export function clearProblem(place) {
  clearInterval(Number(place.dataset.timer));
  place.replaceChildren();
}

function countDown(place, seconds) {
  const line = element("p", "", { class: "wait", "aria-live": "off" });
  const end = Date.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((end - Date.now()) / 1000);
    line.textContent = left > 0 ? `${left} s left` : "You can try again now.";
    if (left <= 0) clearInterval(Number(place.dataset.timer));
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
  try {
    await act();
  } catch (error) {
    showProblem(place, error);
    retype(control);
  } finally {
    control.ariaBusy = null;
  }
}

// The last field is the one to type again: after a name, the password.
function retype(form) {
  const field = [...form.querySelectorAll("input")].at(-1);
  field?.focus();
  field?.select();
}

export function onSubmit(form, act) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(form, form.querySelector("[data-problem]"), () => act(new FormData(form)));
  });
}
