// What an error code means for the person in front of the page. The server's own sentences are
// for developers: the list of requests shows them.

const SIGN_IN_AGAIN = "Your sign-in has ended. Please sign in again.";

const WORDS = {
  invalid_credentials: "The name or the password is wrong.",
  invalid_totp_code:
    "This code is wrong, or it was used before. Type the one that the app shows now.",
  invalid_backup_code: "This backup code is wrong, or it was used before. Try another one.",
  invalid_challenge: "That took too long, or something changed meanwhile. Please sign in again.",
  totp_not_enabled: "Two-factor authentication was turned off meanwhile. Please sign in again.",
  totp_not_enrolled: "This setup is over: it was dropped, or it took too long. Please start again.",
  totp_already_exists: "Two-factor authentication is on already.",
  reauthentication_required: "Please sign out, sign in with a code, and try again at once.",
  insufficient_user_authentication: "This needs a recent code.",
  second_factor_required: "This sign-in lacks a code. Please sign in again.",
  enrollment_required: "Please set up two-factor authentication first.",
  recovery_unavailable: "You cannot set up a new app by mail here. Please ask an administrator.",
  not_found: "That is gone already.",
  mail_unavailable: "The mail could not be sent. Please try again later.",
  totp_required: "This account must have two-factor authentication, so it stays on.",
  policy_unavailable: "The server cannot tell now what this account needs. Please try again later.",
  login_outdated: SIGN_IN_AGAIN,
  token_not_valid: SIGN_IN_AGAIN,
  not_authenticated: SIGN_IN_AGAIN,
  authentication_failed: SIGN_IN_AGAIN,
  user_inactive: SIGN_IN_AGAIN,
  password_changed: "The password was changed. Please sign in again.",
  throttled: "That was too often. Please wait a little.",
};

const OWED = "This account must have two-factor authentication. Sign in again to set it up.";
const WAIT = "Too many wrong codes. Wait, or use a backup code.";
const CAP = "Too many wrong codes in a row. Use a backup code, or ask an administrator.";

// Return the words for an answer that is no success, or the server's where there are none.
export function wording(status, body, retryAfter) {
  if (body?.code === "too_many_attempts") return retryAfter === null ? CAP : WAIT;
  if (status === 401 && body?.code === "enrollment_required") return OWED;
  if (Object.hasOwn(WORDS, body?.code ?? "")) return WORDS[body.code];
  return spoken(body) || `The server answered with status ${status}.`;
}

function spoken(body) {
  const sentences = [];
  if (typeof body?.detail === "string") sentences.push(body.detail);
  for (const [field, messages] of Object.entries(body ?? {})) {
    if (!Array.isArray(messages)) continue;
    for (const message of messages) {
      if (!sentences.includes(message)) sentences.push(`${field}: ${message}`);
    }
  }
  return sentences.join(" ");
}
