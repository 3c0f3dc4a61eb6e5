// Backup codes as text.

export const asText = (codes) => codes.map((code) => `${code}\n`).join("");

export function download(codes) {
  const url = URL.createObjectURL(new Blob([asText(codes)], { type: "text/plain" }));
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
