// Lists the requests as they are answered, the newest first. Bodies hold secrets: not shown.

import { byId, element } from "./dom.js";

const LENGTH = 12;

document.addEventListener("api:answer", ({ detail: { method, path, status } }) => {
  const item = element("li", "");
  item.append(
    element("span", method, { class: "method" }),
    element("span", path, { class: "path" }),
    element("span", status ?? "no answer", { class: status < 400 && status ? "good" : "bad" }),
  );
  byId("log-empty").hidden = true;
  byId("log").prepend(item);
  byId("log").children[LENGTH]?.remove();
});
