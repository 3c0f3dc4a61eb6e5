// Demo only: shows the code of the demo user who signs in, as an authenticator app would.

import { byId } from "./dom.js";

const panel = byId("demo");

let user = panel?.dataset.users.split(" ")[0];
let app = { state: "none" };
let until = 0; // when the code that is shown ends
let asked = 0;

async function ask() {
  const turn = ++asked;
  const url = `${panel.dataset.url}?username=${user}`;
  const answer = await fetch(url, { cache: "no-store", credentials: "omit" })
    .then((response) => (response.ok ? response.json() : { state: "silent" }))
    .catch(() => ({ state: "silent" }));
  if (turn !== asked) return; // a later question has a newer answer
  app = answer;
  until = Date.now() + (app.seconds_left ?? 0) * 1000;
  show();
}

const visibleField = () =>
  [...document.querySelectorAll("[data-takes-code]")].find((field) => field.checkVisibility());

function sentence(seconds) {
  switch (app.state) {
    case "none":
      return "Nothing is set up yet: the app has no account to show.";
    case "unreadable":
      return "The encryption key has changed: the secret cannot be read.";
    case "silent":
      return "The server does not answer.";
    default:
      return app.is_used
        ? `Used. A code works once: wait for the next one, ${seconds} s.`
        : `Changes in ${seconds} s.`;
  }
}

// Of another account, there is no phone to stand in for.
function follow(username) {
  if (username === user || !panel.dataset.users.split(" ").includes(username)) return;
  user = username;
  byId("demo-user").textContent = user;
  app = { state: "none" };
  show();
}

function show() {
  const seconds = Math.max(Math.ceil((until - Date.now()) / 1000), 0);
  const hasCode = app.code !== undefined;
  byId("demo-app").hidden = !hasCode;
  byId("demo-use").hidden = !hasCode || app.is_used || !visibleField();
  byId("demo-state").textContent = sentence(seconds);
  panel.classList.toggle("used", Boolean(app.is_used));
  if (!hasCode) return;
  const half = Math.ceil(app.code.length / 2);
  byId("demo-code").textContent = `${app.code.slice(0, half)} ${app.code.slice(half)}`;
  byId("demo-progress").max = app.period;
  byId("demo-progress").value = seconds;
}

function tick() {
  if (document.hidden || app.code === undefined) return;
  show();
  if (Date.now() >= until) ask();
}

if (panel) {
  byId("demo-use").addEventListener("click", () => {
    const field = visibleField();
    field.value = app.code;
    field.focus();
  });
  document.addEventListener("page:user", ({ detail: username }) => follow(username));
  document.addEventListener("api:answer", ask);
  document.addEventListener("page:view", show);
  document.addEventListener("visibilitychange", tick);
  setInterval(tick, 500);
  ask();
}
