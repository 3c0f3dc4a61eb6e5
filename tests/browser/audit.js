// Returns what a person would stumble over in the page as it is shown now, as a list of texts.
() => {
  const problems = [];
  const shown = (node) => node.checkVisibility({ visibilityProperty: true });
  const all = (selector) => [...document.querySelectorAll(selector)].filter(shown);
  const name = (node) => `${node.localName}${node.id && "#"}${node.id}`;

  if (!document.documentElement.lang) problems.push("the page has no language");
  if (!document.title) problems.push("the page has no title");
  if (all("h1").length !== 1) problems.push(`${all("h1").length} main headings`);
  if (all("main").length !== 1) problems.push(`${all("main").length} main parts`);
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) problems.push("scrolls sideways");

  const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
  for (const id of new Set(ids.filter((id, index) => ids.indexOf(id) !== index))) {
    problems.push(`two elements are called ${id}`);
  }
  for (const node of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
    for (const attribute of ["aria-labelledby", "aria-describedby"]) {
      const referred = node.getAttribute(attribute)?.split(" ") ?? [];
      if (!referred.every((id) => ids.includes(id))) problems.push(`${name(node)}: ${attribute}`);
    }
  }

  let level = 0;
  for (const heading of all("h1, h2, h3, h4")) {
    const next = Number(heading.localName[1]);
    if (next > level + 1) problems.push(`${heading.textContent} skips a level of headings`);
    level = next;
  }
  for (const field of all("input, textarea, select")) {
    if (![...field.labels].some((label) => shown(label) && label.textContent.trim())) {
      problems.push(`${name(field)} has no label`);
    }
  }
  for (const control of all("button, a[href], progress, dialog")) {
    const label = control.ariaLabel || control.textContent.trim() || control.labels?.[0];
    if (!label) problems.push(`${name(control)} has no name`);
  }
  for (const image of all("img")) {
    if (!image.hasAttribute("alt")) problems.push(`${name(image)} has no alternative text`);
  }
  const least = matchMedia("(pointer: coarse)").matches ? 44 : 24;
  for (const control of all("button, .button, input, textarea, nav a, summary")) {
    const target = control.type === "checkbox" ? control.labels[0] : control;
    const { width, height } = target.getBoundingClientRect();
    if (Math.min(width, height) < least) problems.push(`${name(control)} is tiny`);
  }

  // Contrast, WCAG 2.2 section 1.4.3
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue]
      .map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    const color = channels(getComputedStyle(node).backgroundColor);
    if (color[3] !== 0) return color;
    return node.parentElement ? ground(node.parentElement) : [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim();
    const node = texts.currentNode.parentElement;
    if (!text || !shown(node) || node.closest("script, noscript, textarea")) continue;
    const pair = [channels(getComputedStyle(node).color), ground(node)].map(luminance);
    const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (contrast < 4.5) problems.push(`“${text}” has a contrast of ${contrast.toFixed(2)}`);
  }
  return problems;
};
