// Lists the requests as they are answered, the newest first. Each opens to what was sent and
// answered, with secrets hidden until somebody asks for them, and only as long as they are of use.

import { byId, element } from "./dom.js";

const LENGTH = 12;
const SECRETS = [
  "password",
  "access",
  "refresh",
  "token",
  "totp_challenge_token",
  "totp_recovery_challenge_token",
  "trusted_device",
  "otp_code",
  "backup_code",
  "input_code",
  "svg",
  "secret",
  "otpauth_uri",
  "backup_codes",
];
const FORGOTTEN = Symbol("forgotten");

let exchanges = [];

document.addEventListener("api:answer", ({ detail }) => {
  const item = document.createElement("li");
  const exchange = { ...detail, item };
  item.append(details(exchange));
  byId("log-empty").hidden = true;
  byId("log").prepend(item);
  exchanges = [exchange, ...exchanges];
  for (const { item: old } of exchanges.splice(LENGTH)) old.remove();
});

document.addEventListener("api:forgotten", () => forgetExchanged());

// Forget the values of `names` in all that was exchanged, and all secrets where none are named.
export function forgetExchanged(...names) {
  const over = names.length ? names : SECRETS;
  const without = (body) =>
    body &&
    Object.fromEntries(
      Object.entries(body).map(([name, value]) => [name, over.includes(name) ? FORGOTTEN : value]),
    );
  for (const exchange of exchanges) {
    exchange.body = without(exchange.body);
    exchange.answer = without(exchange.answer);
    const [shown] = exchange.item.children;
    if (shown.open) fill(shown, exchange);
  }
}

function details(exchange) {
  const { method, path, status } = exchange;
  const made = document.createElement("details");
  const summary = document.createElement("summary");
  summary.append(
    element("span", method, { class: "method" }),
    element("span", path, { class: "path" }),
    element("span", status ?? "no answer", { class: status < 400 && status ? "good" : "bad" }),
  );
  made.append(summary);
  made.addEventListener("toggle", () => fill(made, exchange));
  return made;
}

// What is closed is not there: neither for a search in the page nor for a look at its elements.
function fill(made, { body, answer }) {
  const [summary] = made.children;
  if (!made.open) return made.replaceChildren(summary);
  made.replaceChildren(
    summary,
    element("h3", "Sent"),
    fields(body),
    element("h3", "Answered"),
    fields(answer),
  );
}

function fields(body) {
  const entries = Object.entries(body ?? {});
  if (entries.length === 0) return element("p", "Nothing", { class: "help" });
  const list = document.createElement("dl");
  for (const [name, value] of entries) {
    const row = document.createElement("div");
    const place = document.createElement("dd");
    place.append(...shown(name, value));
    row.append(element("dt", name), place);
    list.append(row);
  }
  return list;
}

function shown(name, value) {
  if (value === FORGOTTEN) return [element("span", "forgotten", { class: "help" })];
  const text = element("code", SECRETS.includes(name) ? "" : JSON.stringify(value));
  return SECRETS.includes(name) ? [text, curtain(name, value, text)] : [text];
}

function curtain(name, value, text) {
  const button = element("button", "", { type: "button", class: "small" });
  const draw = (open) => {
    text.textContent = open ? JSON.stringify(value) : "••••••••";
    button.textContent = open ? "Hide" : "Show";
    button.ariaLabel = `${button.textContent} ${name}`;
  };
  button.addEventListener("click", () => draw(button.textContent === "Show"));
  draw(false);
  return button;
}
