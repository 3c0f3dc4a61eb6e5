// The tools page: what is pasted is turned into a picture or a file. Nothing is sent.

import { download } from "./codes.js";
import { byId, clearNotices, clearProblem, drawSvg, fillList, onSubmit, say } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`This is not complete JSON: ${error.message}.`);
  }
}

function onReset(name, forget) {
  byId(`${name}-form`).addEventListener("reset", () => {
    forget();
    clearNotices(byId(`${name}-form`));
    clearProblem(byId(`${name}-problem`));
    byId(`${name}-input`).focus();
  });
}

// The SVG viewer

onSubmit(byId("svg-form"), async () => {
  byId("drawing").hidden = true;
  const source = readSvg(byId("svg-input").value.trim());
  await drawSvg(byId("drawing"), source);
  byId("drawing").hidden = false;
  say(
    byId("svg-notice"),
    isPlain(source)
      ? "The picture is below."
      : "The picture is below. This SVG has more in it than shapes. None of that ran or was " +
          "loaded. Don’t put it into a page unless you trust it.",
  );
});

onReset("svg", () => {
  byId("drawing").hidden = true;
});

function readSvg(text) {
  if (!text) throw new Error("Paste a response or an SVG first.");
  const source = text.startsWith("<") ? text : svgOf(parseJson(text));
  if (!/<([\w.-]+:)?svg[\s>/]/.test(source)) {
    throw new Error("This is not an SVG: there is no <svg> element in it.");
  }
  return source.includes(SVG) ? source : source.replace("<svg", `<svg xmlns="${SVG}"`);
}

function svgOf(response) {
  if (typeof response === "string") return response;
  if (typeof response?.svg === "string") return response.svg;
  throw new Error("This JSON has no “svg”. Paste the whole response of POST totp/create/.");
}

// Tags of shapes, with attributes that neither run nor load anything.
const SHAPE = new RegExp(
  String.raw`</?(svg|g|path|rect|circle|ellipse|line|polyline|polygon|title|desc)` +
    String.raw`(\s+(?!on|style\b|([\w.-]+:)?href\b)[\w:.-]+\s*=\s*` +
    String.raw`("((?!url\s*\()[^"<&\\])*"|'((?!url\s*\()[^'<&\\])*'))*\s*/?>`,
  "gi",
);

// Whether the SVG has only shapes in it: no script, style sheet, link, picture or DOCTYPE. A hint for
// those who want to put it into a page: on this one nothing in it can run.
function isPlain(source) {
  return !/[<&]/.test(source.replace(/^<\?xml\s[^?]*\?>/, "").replace(SHAPE, ""));
}

// Backup codes to text

onSubmit(byId("codes-form"), () => {
  byId("codes-list").replaceChildren();
  const codes = readCodes(byId("codes-input").value.trim());
  fillList(byId("codes-list"), codes);
  say(byId("codes-notice"), codes.length === 1 ? "One code saved." : `${codes.length} codes saved.`);
  download(codes);
});

onReset("codes", () => byId("codes-list").replaceChildren());

function readCodes(text) {
  if (!text) throw new Error("Paste a response first.");
  const response = parseJson(text);
  const codes = Array.isArray(response) ? response : response?.backup_codes;
  if (!Array.isArray(codes)) {
    throw new Error("This JSON has no “backup_codes”. Paste the whole response.");
  }
  if (codes.length === 0) throw new Error("There are no codes in this response.");
  if (!codes.every((code) => typeof code === "string" && /\S/.test(code))) {
    throw new Error("“backup_codes” must contain strings only.");
  }
  return codes;
}
