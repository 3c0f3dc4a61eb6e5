// Backup codes as text, below a `head` that says what they open.

export const asText = (codes, head = []) => [...head, ...codes].map((line) => `${line}\n`).join("");

export function download(codes, head) {
  const text = asText(codes, head);
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = "backup_codes.txt";
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// Return whether it went well: a page that is not served over HTTPS or by this very machine
// has no clipboard.
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
