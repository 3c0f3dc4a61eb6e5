// A client of the django-totp API.
//
// The tokens live in the memory of this page and nowhere else, here and until the end of the sign-in
// in the list of requests: no script that finds its way into another page, and nobody who opens the
// browser later, finds them. The price is that a reload signs out.

import { wording } from "./words.js";

const BASE = "/api/";

let tokens = null;
let trusted = {}; // what this page keeps as a trusted device, by user: for the next sign-in

// An answer that is no success. `message` is for people.
export class ApiError extends Error {
  constructor(status, body, retryAfter = null) {
    super(wording(status, body, retryAfter));
    this.status = status;
    this.code = body?.code ?? null;
    this.retryAfter = retryAfter;
  }
}

// The seconds to wait, or null. The header is not to be seen from another origin: the body is.
function waitOf(response, body) {
  const wait = Number.parseInt(body?.retry_after ?? response.headers.get("Retry-After"), 10);
  return Number.isNaN(wait) ? null : wait;
}

async function send(method, path, body, access) {
  const headers = { Accept: "application/json" };
  if (body) headers["Content-Type"] = "application/json";
  if (access) headers.Authorization = `Bearer ${access}`;
  let response;
  try {
    response = await fetch(BASE + path, {
      method,
      headers,
      body: body && JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
    });
  } catch {
    tell({ method, path, body, status: null });
    throw new ApiError(0, { detail: "The server cannot be reached. Is it still running?" });
  }
  const answer = await response.json().catch(() => null);
  tell({ method, path, body, status: response.status, answer });
  if (!response.ok) throw new ApiError(response.status, answer, waitOf(response, answer));
  return answer;
}

function tell(exchange) {
  document.dispatchEvent(new CustomEvent("api:answer", { detail: exchange }));
}

const CODE_NEEDED = ["insufficient_user_authentication", "second_factor_required"];

// Send with the access token. Where the answer says what that lacks, get it and send again.
async function sendSigned(method, path, body) {
  for (let cures = 2; ; cures -= 1) {
    try {
      return await send(method, path, body, tokens?.access);
    } catch (error) {
      if (error.status !== 401 || !tokens || cures === 0) throw error;
      await cure(error);
    }
  }
}

// The code says what helps. A refresh helps against one of them; with the others it would go on
// for ever.
async function cure(error) {
  if (CODE_NEEDED.includes(error.code)) return stepUp();
  if (error.code === "token_not_valid") return refresh();
  endLogin(error);
  throw error;
}

export async function refresh() {
  try {
    await renew("jwt/refresh/");
  } catch (error) {
    if (error.code !== "second_factor_required") throw error;
    await stepUp();
  }
}

// `askForCode` shows a field and calls what it is given, with { otp_code } or { backup_code }, until
// that goes well. It rejects if the person gives up.
const stepUp = () => askForCode((code) => renew("jwt/step_up/", code));

async function renew(path, code = {}) {
  try {
    const answer = await send("POST", path, { refresh: tokens.refresh, ...code });
    tokens = { ...tokens, ...answer };
  } catch (error) {
    if (error.status === 401 && error.code !== "second_factor_required") endLogin(error);
    throw error;
  }
}

function endLogin(error) {
  signOut();
  document.dispatchEvent(new CustomEvent("api:signed-out", { detail: error }));
}

let askForCode;

export function askForCodeBy(ask) {
  askForCode = ask;
}

// Return what is left to do. `challenge` is null, or the token of a second step: to enroll where
// `mustEnroll`. `recovery` is null, or a token to set up a new app without a code of the old one.
// `requiredFrom` is null, or when signing in will take an enrollment.
export async function signIn(username, password) {
  const body = { username, password };
  if (trusted[username]) body.trusted_device = trusted[username];
  const answer = await send("POST", "jwt/create/", body);
  const { totp_challenge_token: challenge = null, totp_required_from: requiredFrom = null } = answer;
  const { totp_recovery_challenge_token: recovery = null } = answer;
  keepDevice(username, answer);
  if (challenge === null) tokens = { access: answer.access, refresh: answer.refresh };
  return { challenge, recovery, mustEnroll: Boolean(answer.is_totp_required), requiredFrom };
}

// `proof` is {otp_code} or {backup_code}, and with {trust_device} the next sign-in needs no code.
export async function finishSignIn(username, challenge, proof) {
  const body = { totp_challenge_token: challenge, ...proof };
  const answer = await send("POST", "jwt/totp/verify/", body);
  keepDevice(username, answer);
  tokens = { access: answer.access, refresh: answer.refresh };
}

// Each value is good for one sign-in: the answer has the next one, or none if it is over.
function keepDevice(username, { trusted_device: value }) {
  trusted = { ...trusted, [username]: value };
}

export function askForRecovery(challenge) {
  return send("POST", "totp/recovery/", { totp_challenge_token: challenge });
}

export function createOwed(challenge) {
  return send("POST", "jwt/totp/create/", { totp_challenge_token: challenge });
}

// An enrollment that the sign-in owes ends it: the answer has tokens.
export async function confirmOwed(challenge, code) {
  const body = { totp_challenge_token: challenge, input_code: code };
  const { access, refresh, ...answer } = await send("POST", "jwt/totp/confirm/", body);
  tokens = { access, refresh };
  return answer;
}

export function verifyAccess() {
  return send("POST", "jwt/verify/", { token: tokens.access });
}

export function signOut() {
  tokens = null;
  document.dispatchEvent(new Event("api:forgotten"));
}

export const getStatus = () => sendSigned("GET", "totp/");
export const create = () => sendSigned("POST", "totp/create/");
export const replace = () => sendSigned("POST", "totp/replace/");
export const getDevices = () => sendSigned("GET", "totp/devices/");
export const removeDevice = (id) => sendSigned("DELETE", `totp/devices/${id}/`);
export const stopRecovery = () => sendSigned("POST", "totp/recovery_cancel/");
export const deleteNotes = (isStrict) =>
  sendSigned("DELETE", isStrict ? "notes/strict/" : "notes/");
export const rotate = () => sendSigned("POST", "totp/rotate_backup_codes/");
export const disable = () => sendSigned("POST", "totp/disable/");

// Also let the tokens say that the second factor was given: the next refresh does.
export async function confirm(code) {
  const answer = await sendSigned("POST", "totp/confirm/", { input_code: code });
  await refresh();
  return answer;
}

// When the tokens expire, in milliseconds since the epoch.
export function expiries() {
  return tokens && { access: expiry(tokens.access), refresh: expiry(tokens.refresh) };
}

const expiry = (token) => claimsOf(token).exp * 1000;

// What the access token says of the login: amr, acr, auth_time, sid.
export const claims = () => tokens && claimsOf(tokens.access);

function claimsOf(token) {
  const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  return JSON.parse(atob(payload));
}
