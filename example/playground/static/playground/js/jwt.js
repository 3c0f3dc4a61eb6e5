// The page of the JWT side: one view at a time, each a step of the journey through the API.

import * as api from "./api.js";
import * as codes from "./codes.js";
import {
  attempt,
  byId,
  clearProblem,
  drawSvg,
  element,
  fillList,
  onSubmit,
  say,
  showProblem,
} from "./dom.js";
import { forgetExchanged } from "./log.js";
import "./panel.js";

const SITE = document.title;

let username = "";
let challenge = null; // of a sign-in that lacks its second step
let recovery = null; // of one that may set up a new app without a code
let isReplacing = false; // what is set up takes the place of another app
let requiredFrom = null;
let backupCodes = [];
let codesHead = [];

// Views

function show(name, notice = "") {
  for (const view of document.querySelectorAll(".stage > section")) {
    view.hidden = (view.dataset.beside ?? view.id) !== `view-${name}`;
  }
  for (const place of document.querySelectorAll("[data-problem]")) clearProblem(place);
  say(byId("notice"), notice);
  const title = byId(`${name}-title`);
  document.title = `${title.textContent} · ${SITE}`;
  document.dispatchEvent(new Event("page:view"));
  return title;
}

// As `show`, and bring the reader along. Not for the first view: nobody moved there. On a phone a
// view fills the screen: it starts at the top, so that the field for the code is in sight.
function go(name, notice) {
  const title = show(name, notice);
  const view = byId(`view-${name}`);
  (view.querySelector("[data-focus]") ?? title).focus({ preventScroll: true });
  const { top, bottom } = view.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) document.querySelector(".stage").scrollIntoView();
}

const onClick = (id, act) => byId(id).addEventListener("click", act);

// The place for what a button has to say, near it: on a phone the head of the page is far away.
const near = (id, place) => byId(id).closest("form, .steps > li, .part, section").querySelector(place);

const sayNear = (id, text) => say(near(id, "[data-notice]"), text);

// As `onClick`, for what may fail.
function onAction(id, act) {
  onClick(id, () => attempt(byId(id), near(id, "[data-problem]"), act));
}

// Sign in

onSubmit(byId("signin-form"), async (data) => {
  username = data.get("username");
  document.dispatchEvent(new CustomEvent("page:user", { detail: username }));
  const step = await api.signIn(username, data.get("password"));
  const setup = step.mustEnroll && (await api.createOwed(step.challenge));
  ({ challenge, recovery, requiredFrom } = step);
  byId("signin-form").reset();
  if (challenge === null) return arrive();
  const account = ["Signing in as ", element("strong", username)];
  if (!setup) return openSecond(...account);
  await openSetup(setup, ...account, ": this account must have two-factor authentication.");
});

for (const button of document.querySelectorAll("[data-fill]")) {
  button.addEventListener("click", () => {
    byId("username").value = button.dataset.fill;
    byId("password").value = byId("demo-password").textContent;
    byId("password").focus();
  });
}

async function arrive(notice = "") {
  byId("account-name").textContent = username;
  await showStatus();
  go("account", notice);
}

onClick("sign-out", () => {
  api.signOut();
  go("signin", "Signed out: the tokens are forgotten.");
});

document.addEventListener("api:signed-out", ({ detail: error }) => refuse(error));

// Back to the start, with the reason.
function refuse(error) {
  waiting?.reject(error);
  challenge = recovery = waiting = null;
  api.signOut();
  forgetSetup();
  go("signin");
  showProblem(byId("signin-form").querySelector("[data-problem]"), error);
}

// The second step, of a sign-in or of a request that waits for a code

let waiting = null;

function openSecond(...reason) {
  byId("second-account").replaceChildren(...reason);
  for (const button of byId("view-second").querySelectorAll(".primary")) {
    button.textContent = waiting ? "Confirm" : "Sign in";
  }
  byId("abandon").textContent = waiting ? "Cancel" : "Use another account";
  byId("trust").hidden = byId("lost").hidden = waiting !== null;
  byId("lost-phone").textContent = recovery ? "Set up a new app" : "Lost your phone?";
  say(near("lost-phone", "[data-notice]"), "");
  askForCode();
  go("second");
}

api.askForCodeBy((send) => {
  const from = document.activeElement;
  const back = document.querySelector(".stage > section:not([hidden])").id.replace("view-", "");
  return new Promise((resolve, reject) => {
    waiting = { send, resolve, reject, from, back };
    openSecond("This needs a recent code, or one of your backup codes.");
  });
});

async function confirmRequest(proof) {
  await waiting.send(proof);
  if (proof.backup_code) await showStatus(); // there is one less
  stopWaiting().resolve();
}

function cancelRequest() {
  stopWaiting().reject(new Error("Not confirmed, so nothing was done."));
}

// Back to where the code was needed. Return what waits there.
function stopWaiting() {
  const request = waiting;
  waiting = null;
  go(request.back);
  request.from.focus();
  return request;
}

async function finish(proof) {
  if (waiting) return confirmRequest(proof);
  try {
    await api.finishSignIn(username, challenge, proof);
  } catch (error) {
    if (!["invalid_challenge", "totp_not_enabled"].includes(error.code)) throw error;
    return refuse(error);
  }
  challenge = null;
  await arrive();
}

// Without a code: a mail and a wait or, once that is over, a new app in the place of the old one.
onAction("lost-phone", async () => {
  if (recovery === null) {
    await api.askForRecovery(challenge);
    return sayNear("lost-phone", "A mail is on its way, at most one an hour. Follow its link.");
  }
  const setup = await api.createOwed(recovery);
  challenge = recovery;
  isReplacing = true;
  await openSetup(setup, "The old app works until you have confirmed the new one.");
});

onSubmit(byId("otp-form"), (data) => {
  const trust = !waiting && byId("trust-device").checked;
  return finish({ otp_code: data.get("code"), ...(trust && { trust_device: true }) });
});
onSubmit(byId("backup-form"), (data) => finish({ backup_code: data.get("code") }));

function askForCode(form = "otp") {
  for (const name of ["otp", "backup"]) {
    byId(`${name}-form`).hidden = name !== form;
    byId(`${name}-form`).reset();
    clearProblem(byId(`${name}-form`).querySelector("[data-problem]"));
  }
  document.dispatchEvent(new Event("page:view"));
}

for (const name of ["otp", "backup"]) {
  onClick(`to-${name}`, () => {
    askForCode(name);
    byId(`${name}-code`).focus();
  });
}

function abandon() {
  challenge = recovery = null;
  api.signOut();
  go("signin");
}

onClick("abandon", () => (waiting ? cancelRequest() : abandon()));

// The account

function fact(name, value) {
  const row = document.createElement("div");
  row.append(element("dt", name), element("dd", value));
  return row;
}

const when = (time) =>
  new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

async function showStatus() {
  const status = await api.getStatus();
  const state = status.is_totp_enabled ? "on" : status.is_pending ? "pending" : "off";
  byId("state").className = `badge ${state}`;
  byId("state").textContent = { on: "On", pending: "Not confirmed", off: "Off" }[state];
  byId("state-text").textContent = {
    on: "Signing in takes the password and a code.",
    pending: "Setup has started. Until you confirm it, the password alone signs you in.",
    off: "The password alone signs you in.",
  }[state];
  if (state === "on") requiredFrom = null;
  if (requiredFrom) {
    byId("state-text").append(
      ` From ${when(requiredFrom)} on, this account must have two-factor authentication.`,
    );
  }
  byId("state-facts").replaceChildren(
    ...{
      on: [
        fact("Since", when(status.confirmed_at)),
        fact("Backup codes left", status.backup_codes_remaining),
      ],
      pending: [fact("Started", when(status.created_at))],
      off: [],
    }[state],
  );
  byId("enroll").hidden = state === "on";
  byId("enroll").textContent = state === "pending" ? "Start over" : "Set up";
  byId("drop").hidden = state !== "pending" || requiredFrom !== null;
  for (const id of ["replace", "rotate", "disable"]) byId(id).hidden = state !== "on";
  byId("stop-recovery").hidden = !status.recovery_ready_at;
  if (status.recovery_ready_at) {
    byId("state-text").append(
      ` Somebody has asked to set up a new app without a code, from ${when(status.recovery_ready_at)} on.`,
    );
  }
  await showDevices(status.trusted_devices);
  showExpiries();
}

async function showDevices(count) {
  byId("devices").hidden = !count;
  const devices = count ? await api.getDevices() : [];
  byId("device-list").replaceChildren(...devices.map(deviceItem));
}

function deviceItem({ id, name, expires_at: end }) {
  const item = document.createElement("li");
  const button = element("button", "Remove", { type: "button", class: "small" });
  button.addEventListener("click", () =>
    attempt(button, byId("devices").querySelector("[data-problem]"), async () => {
      await api.removeDevice(id);
      await arrive("The device is trusted no more.");
    }),
  );
  item.append(`${name || "A device without a name"}, until ${when(end)} `, button);
  return item;
}

onAction("replace", async () => {
  const setup = await api.replace();
  isReplacing = true;
  await openSetup(setup, "The old app works until you have confirmed the new one.");
});

onAction("stop-recovery", async () => {
  await api.stopRecovery();
  await arrive("Nobody can set up a new app without a code now.");
});

onAction("enroll", async () => openSetup(await api.create()));

// For a sign-in that owes it, with the reason.
async function openSetup(setup, ...reason) {
  byId("enroll-reason").replaceChildren(...reason);
  byId("enroll-reason").hidden = reason.length === 0;
  const verb = isReplacing ? "Use the new app" : "Turn on";
  byId("turn-on").textContent = challenge ? `${verb} and sign in` : verb;
  byId("cancel-enroll").textContent = challenge ? "Use another account" : "Cancel";
  byId("secret").textContent = setup.secret.match(/.{1,4}/g).join(" ");
  byId("otpauth").hidden = !setup.otpauth_uri.startsWith("otpauth://");
  byId("otpauth").href = setup.otpauth_uri;
  byId("confirm-form").reset();
  await drawSvg(byId("qr"), setup.svg);
  go("enroll");
}

// Nothing is on yet that could be lost, unless it was confirmed elsewhere meanwhile: that stays. An
// account that must have a factor soon drops nothing: its next setup replaces this one.
async function dropSetup() {
  if (requiredFrom) return arrive();
  const { is_pending: isPending } = await api.getStatus();
  if (isPending) await api.disable();
  await arrive(isPending ? "The setup is dropped." : "");
}

onAction("drop", dropSetup);

onAction("rotate", async () => {
  if (!(await agreed("ask-rotate"))) return;
  const answer = await api.rotate();
  showCodes(answer.backup_codes, "You have new backup codes. The old ones no longer work.");
});

onAction("disable", async () => {
  if (!(await agreed("ask-disable"))) return;
  await api.disable();
  await arrive("Two-factor authentication is off.");
});

function agreed(id) {
  const dialog = byId(id);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

// Danger zone

onAction("delete-notes", async () => {
  await api.deleteNotes(byId("strict").checked);
  showClaims();
  sayNear("delete-notes", "Your notes are deleted. There were none: this is an example.");
});

function showClaims() {
  const { amr = [], acr, auth_time: time, sid } = api.claims() ?? {};
  const age = Math.max(Math.floor(Date.now() / 1000) - time, 0);
  byId("claim-amr").textContent = amr.join(", ");
  byId("claim-acr").textContent = acr;
  byId("claim-time").textContent = `${age < 60 ? `${age} s` : `${Math.floor(age / 60)} min`} ago`;
  byId("claim-sid").textContent = sid;
}

// Tokens

onAction("refresh", async () => {
  await api.refresh();
  showExpiries();
  sayNear("refresh", "The access token was refreshed.");
});

onAction("verify", async () => {
  await api.verifyAccess();
  sayNear("verify", "The server says that the access token is valid.");
});

function remaining(end) {
  const seconds = Math.floor((end - Date.now()) / 1000);
  if (seconds <= 0) return "expired";
  if (seconds >= 3600) return `expires ${when(end)}`;
  return `expires in ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function showExpiries() {
  const ends = api.expiries();
  if (!ends) return;
  byId("access-expiry").textContent = remaining(ends.access);
  byId("refresh-expiry").textContent = remaining(ends.refresh);
  showClaims();
}

setInterval(showExpiries, 1000);

// Enrollment

onSubmit(byId("confirm-form"), async (data) => {
  if (challenge) return finishOwed(data.get("code"));
  const done = isReplacing ? "The new app works, and the old one no longer." : TURNED_ON;
  const answer = await api.confirm(data.get("code"));
  return welcome(answer.backup_codes, done);
});

const TURNED_ON = "Two-factor authentication is on.";
const SETUP_OVER = ["invalid_challenge", "totp_not_enrolled", "totp_already_exists"];

async function finishOwed(code) {
  let answer;
  try {
    answer = await api.confirmOwed(challenge, code);
  } catch (error) {
    if (!SETUP_OVER.includes(error.code)) throw error;
    return refuse(error);
  }
  challenge = null;
  return welcome(answer.backup_codes, "Two-factor authentication is on, and you are signed in.");
}

function welcome(fresh, notice) {
  forgetSetup();
  return fresh.length === 0 ? arrive(notice) : showCodes(fresh, notice);
}

onAction("cancel-enroll", async () => {
  if (challenge) abandon();
  else await dropSetup();
  forgetSetup();
});

// Who comes back from the app on the same phone comes with a code.
let isAway = false;

onClick("otpauth", () => {
  isAway = true;
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden || !isAway) return;
  isAway = false;
  byId("confirm-code").focus();
});

onClick("copy-secret", async () => {
  const copied = await codes.copy(byId("secret").textContent.replaceAll(" ", ""));
  sayNear(
    "copy-secret",
    copied ? "The key is copied." : "The browser does not let this page copy. Select the key.",
  );
});

function forgetSetup() {
  byId("secret").textContent = "";
  byId("otpauth").removeAttribute("href");
  byId("qr").removeAttribute("src");
  isAway = isReplacing = false;
  forgetExchanged("svg", "secret", "otpauth_uri");
}

// Backup codes

function showCodes(fresh, notice) {
  backupCodes = fresh;
  fillList(byId("codes"), fresh);
  const origin = `${username} at ${location.host}, made ${when(Date.now())}`;
  codesHead = [SITE.split(" · ").at(-1), `Backup codes of ${origin}`, "Each works once.", ""];
  byId("codes-origin").textContent = origin;
  go("codes", notice);
}

onClick("copy-codes", async () => {
  const copied = await codes.copy(codes.asText(backupCodes, codesHead));
  sayNear(
    "copy-codes",
    copied ? "The codes are copied." : "The browser does not let this page copy. Select the codes.",
  );
});

onClick("download-codes", () => {
  codes.download(backupCodes, codesHead);
  sayNear("download-codes", "Saved as backup_codes.txt.");
});

onClick("print-codes", () => window.print());

onAction("codes-kept", async () => {
  backupCodes = [];
  byId("codes").replaceChildren();
  forgetExchanged("backup_codes");
  await arrive();
});

show("signin");
