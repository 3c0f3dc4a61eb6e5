// A client of the django-totp API.
//
// The tokens live in this module's memory and nowhere else: no script that finds its way into
// another page, and nobody who opens the browser later, finds them. The price is that a reload
// signs out.

const BASE = "/api/";

let tokens = null;

// An answer that is no success. `message` is worded by the server.
export class ApiError extends Error {
  constructor(status, body, retryAfter = null) {
    super(wording(status, body));
    this.status = status;
    this.code = body?.code ?? null;
    this.retryAfter = retryAfter;
  }
}

function wording(status, body) {
  const sentences = [];
  if (typeof body?.detail === "string") sentences.push(body.detail);
  for (const [field, messages] of Object.entries(body ?? {})) {
    if (!Array.isArray(messages)) continue;
    for (const message of messages) {
      if (!sentences.includes(message)) sentences.push(`${field}: ${message}`);
    }
  }
  return sentences.join(" ") || `The server answered with status ${status}.`;
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
    tell(method, path, null);
    throw new ApiError(0, { detail: "The server cannot be reached. Is it still running?" });
  }
  tell(method, path, response.status);
  const answer = await response.json().catch(() => null);
  if (!response.ok) {
    const wait = Number.parseInt(response.headers.get("Retry-After"), 10);
    throw new ApiError(response.status, answer, Number.isNaN(wait) ? null : wait);
  }
  return answer;
}

function tell(method, path, status) {
  document.dispatchEvent(new CustomEvent("api:answer", { detail: { method, path, status } }));
}

// Send with the access token; if that has expired, refresh it once and send again.
async function sendSigned(method, path, body) {
  try {
    return await send(method, path, body, tokens?.access);
  } catch (error) {
    if (error.status !== 401 || !tokens) throw error;
  }
  await refresh();
  return send(method, path, body, tokens.access);
}

// Return null, or the challenge token where a second step is needed.
export async function signIn(username, password) {
  const answer = await send("POST", "jwt/create/", { username, password });
  if (answer.is_totp_enabled) return answer.totp_challenge_token;
  tokens = { access: answer.access, refresh: answer.refresh };
  return null;
}

// `proof` is {otp_code} or {backup_code}.
export async function finishSignIn(challenge, proof) {
  tokens = await send("POST", "jwt/totp/verify/", { totp_challenge_token: challenge, ...proof });
}

export async function refresh() {
  try {
    const answer = await send("POST", "jwt/refresh/", { refresh: tokens.refresh });
    tokens = { ...tokens, ...answer };
  } catch (error) {
    if (error.status === 401) {
      signOut();
      document.dispatchEvent(new CustomEvent("api:signed-out", { detail: error }));
    }
    throw error;
  }
}

export function verifyAccess() {
  return send("POST", "jwt/verify/", { token: tokens.access });
}

export function signOut() {
  tokens = null;
}

export const getStatus = () => sendSigned("GET", "totp/");
export const create = () => sendSigned("POST", "totp/create/");
export const confirm = (code) => sendSigned("POST", "totp/confirm/", { input_code: code });
export const rotate = () => sendSigned("POST", "totp/rotate_backup_codes/");
export const disable = () => sendSigned("POST", "totp/disable/");

// When the tokens expire, in milliseconds since the epoch.
export function expiries() {
  return tokens && { access: expiry(tokens.access), refresh: expiry(tokens.refresh) };
}

function expiry(token) {
  const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  return JSON.parse(atob(payload)).exp * 1000;
}
