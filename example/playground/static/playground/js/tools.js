// The tools page: what is pasted is turned into a picture or a file. Nothing is sent.

import { download } from "./codes.js";
import { byId, clearProblem, drawSvg, fillList, onSubmit } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";

// What may run where an SVG is put into a page. Only for a hint: here nothing of it can.
const ACTIVE = /<script|<foreignObject|\son[a-z]+\s*=|javascript:|href\s*=\s*["']?\s*https?:/i;

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`This is no complete JSON: ${error.message}.`);
  }
}

// The SVG viewer

onSubmit(byId("svg-form"), async () => {
  byId("drawing").hidden = true;
  const svg = readSvg(byId("svg-input").value.trim());
  await drawSvg(byId("drawing-image"), svg.source);
  byId("drawing").hidden = false;
  byId("drawing-caption").textContent = svg.isActive
    ? "Drawn. It has scripts or links in it, and nothing of them ran. Don’t put this SVG into a page."
    : "Drawn.";
});

byId("svg-form").addEventListener("reset", () => {
  byId("drawing").hidden = true;
  clearProblem(byId("svg-form").querySelector("[data-problem]"));
  byId("svg-input").focus();
});

function readSvg(text) {
  if (!text) throw new Error("Paste a response or an SVG first.");
  const source = text.startsWith("<") ? text : svgOf(parseJson(text));
  if (!/<svg[\s>/]/.test(source)) throw new Error("This is no SVG: there is no <svg> element in it.");
  return {
    source: source.includes(SVG) ? source : source.replace("<svg", `<svg xmlns="${SVG}"`),
    isActive: ACTIVE.test(source),
  };
}

function svgOf(response) {
  if (typeof response === "string") return response;
  if (typeof response?.svg === "string") return response.svg;
  throw new Error("This JSON has no “svg”. Paste the whole response of POST totp/create/.");
}

// Backup codes to text

onSubmit(byId("codes-form"), () => {
  byId("codes-result").hidden = true;
  const codes = readCodes(byId("codes-input").value.trim());
  fillList(byId("codes-list"), codes);
  byId("codes-result").hidden = false;
  byId("codes-notice").textContent =
    codes.length === 1 ? "One code saved." : `${codes.length} codes saved.`;
  download(codes);
});

byId("codes-form").addEventListener("reset", () => {
  byId("codes-result").hidden = true;
  clearProblem(byId("codes-form").querySelector("[data-problem]"));
  byId("codes-input").focus();
});

function readCodes(text) {
  if (!text) throw new Error("Paste a response first.");
  const response = parseJson(text);
  const codes = Array.isArray(response) ? response : response?.backup_codes;
  if (!Array.isArray(codes)) {
    throw new Error("This JSON has no “backup_codes”. Paste the whole response.");
  }
  if (codes.length === 0) throw new Error("There are no codes in this response.");
  if (!codes.every((code) => typeof code === "string" && /\S/.test(code))) {
    throw new Error("“backup_codes” must hold texts only.");
  }
  return codes;
}
