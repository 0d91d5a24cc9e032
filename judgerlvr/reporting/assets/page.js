"use strict";
// Unpack the block of rollouts and run the two searches. Texts reach the page as text, never as HTML.
(() => {
  const PAGE = 10, ROWS = 100, HALF = 0.5;
  const FIELDS = ["source", "step", "kind", "decoding", "problem", "sample", "reason", "outcome", "tokens", "gold", "prompt", "response"];
  const memory = (() => { try { return window.sessionStorage; } catch { return null; } })();

  const element = (tag, text = "", name = "") => {
    const made = document.createElement(tag);
    if (text !== "") made.textContent = text;
    if (name) made.className = name;
    return made;
  };

  const unpack = async () => {
    const packed = Uint8Array.from(atob(document.getElementById("block").textContent), (sign) => sign.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };

  // A filter keeps its value in the session, so that a page that loads itself anew stays where it was.
  const keep = (field, key) => {
    const stored = memory && memory.getItem(key);
    if (stored !== null && stored !== undefined) field.value = stored;
    if (field.value === "" && field.tagName === "SELECT") field.selectedIndex = 0;
    field.addEventListener("input", () => memory && memory.setItem(key, field.value));
  };

  const labelled = (form, tool, name, field) => {
    const label = element("label", name);
    field.name = name;
    label.append(field);
    form.append(label);
    keep(field, `${tool}/${name}`);
    return field;
  };

  const choice = (form, tool, name, values, all = true, chosen = 0) => {
    const field = element("select");
    if (all) field.append(new Option("all", ""));
    values.forEach((value, place) => field.append(new Option(value, value, false, !all && place === chosen)));
    return labelled(form, tool, name, field);
  };

  const search = (form, tool, name) => {
    const field = element("input");
    field.type = "search";
    return labelled(form, tool, name, field);
  };

  const distinct = (rows, name) => [...new Set(rows.map((row) => row[name]).filter((value) => value !== null && value !== ""))];

  // One tool: filters, a count, the found entries of one page, and buttons that turn pages.
  const tool = (name, size, build) => {
    const root = document.getElementById(name);
    if (!root) return null;
    const [form, count, found] = [".filters", ".count", ".found"].map((part) => root.querySelector(part));
    const buttons = [...root.querySelectorAll("[data-turn]")];
    let start = 0;
    const { select, draw, what } = build(form);
    const show = () => {
      const rows = select();
      if (start >= rows.length) start = 0;
      const end = Math.min(start + size, rows.length);
      count.textContent = rows.length ? `${start + 1} to ${end} of ${rows.length} ${what}` : `no ${what}`;
      found.replaceChildren(...draw(rows.slice(start, end)));
      buttons.forEach((button) => { button.disabled = button.dataset.turn < 0 ? start === 0 : end >= rows.length; });
    };
    buttons.forEach((button) => button.addEventListener("click", () => {
      start = Math.max(0, start + size * Number(button.dataset.turn));
      show();
      count.scrollIntoView({ block: "nearest" });
    }));
    form.addEventListener("input", () => { start = 0; show(); });
    form.addEventListener("submit", (event) => event.preventDefault());
    root.hidden = false;
    if (root.previousElementSibling) root.previousElementSibling.hidden = true;
    show();
    return form;
  };

  const rollout = (row) => {
    const item = element("article", "", "rollout");
    const step = row.step === null ? "" : `, step ${row.step}`;
    item.append(element("h3", `${row.source}${step}: ${row.problem}, sample ${row.sample} (${row.decoding})`));
    const facts = element("p");
    facts.append(element("span", row.reason, row.outcome === "correct" ? "right" : "wrong"));
    facts.append(` ${row.outcome}${row.tokens === null ? "" : `, ${row.tokens} tokens`}${row.gold ? `, ${row.gold}` : ""}`);
    const prompt = element("details");
    prompt.append(element("summary", "Prompt"), element("pre", row.prompt));
    item.append(facts, prompt, element("pre", row.response));
    return item;
  };

  const browser = (rows) => (form) => {
    const names = ["source", "kind", "decoding", "reason", "outcome", "step"];
    const filters = names.map((name) => [name, choice(form, "browser", name, distinct(rows, name).map(String).sort(
      (a, b) => (name === "step" ? a - b : 0)))]);
    const text = search(form, "browser", "text or problem");
    return {
      what: "rollouts",
      draw: (shown) => shown.map(rollout),
      select: () => {
        const wanted = text.value.toLowerCase();
        return rows.filter((row) => filters.every(([name, field]) => field.value === "" || String(row[name]) === field.value)
          && (wanted === "" || [row.problem, row.prompt, row.response].some((part) => part.toLowerCase().includes(wanted))));
      },
    };
  };

  const outcome = (first, second) => {
    const [a, b] = [first, second].map(([right, samples]) => right / samples);
    if (a <= HALF && b > HALF) return "gained";
    if (a > HALF && b <= HALF) return "lost";
    return a === b ? "same" : b > a ? "better" : "worse";
  };

  const changes = (data, open) => (form) => {
    const last = data.arms.length - 1;
    const first = choice(form, "changes", "from", data.arms, false, 0);
    const second = choice(form, "changes", "to", data.arms, false, Math.min(2, last));
    const decoding = choice(form, "changes", "decoding", Object.keys(data.problems), false);
    const change = choice(form, "changes", "change", ["gained", "lost", "better", "worse", "same"]);
    const text = search(form, "changes", "problem");
    const side = ([right, samples]) => `${right} of ${samples}`;
    const tokens = (entry) => (entry[2] === null ? "not known" : String(entry[2]));
    return {
      what: "problems",
      select: () => {
        const [a, b] = [data.arms.indexOf(first.value), data.arms.indexOf(second.value)];
        return data.problems[decoding.value].filter(([, arms]) => arms[a] && arms[b])
          .map(([problem, arms]) => ({ problem, from: arms[a], to: arms[b], change: outcome(arms[a], arms[b]) }))
          .filter((row) => (change.value === "" || row.change === change.value) && row.problem.includes(text.value.trim()));
      },
      draw: (rows) => {
        const region = element("div", "", "wide");
        region.tabIndex = 0;
        region.setAttribute("role", "region");
        region.setAttribute("aria-label", "Problems by change");
        const table = element("table"), head = element("tr"), body = element("tbody"), top = element("thead");
        table.append(element("caption", `Right samples of ${first.value} and of ${second.value}, ${decoding.value}`));
        ["problem", "change", first.value, second.value, "mean tokens before", "mean tokens after", "responses"].forEach((name) => {
          const cell = element("th", name);
          cell.scope = "col";
          head.append(cell);
        });
        rows.forEach((row) => {
          const line = element("tr"), name = element("th", row.problem);
          name.scope = "row";
          const what = element("td", row.change);
          const link = element("td"), button = element("button", "Show");
          button.type = "button";
          button.setAttribute("aria-label", `Show responses of ${row.problem}`);
          button.addEventListener("click", () => open(row.problem));
          link.append(button);
          line.append(name, what, element("td", side(row.from)), element("td", side(row.to)),
            element("td", tokens(row.from)), element("td", tokens(row.to)), link);
          body.append(line);
        });
        top.append(head);
        table.append(top, body);
        region.append(table);
        return [region];
      },
    };
  };

  const start = async () => {
    const content = await unpack();
    const rows = content.rollouts.map((values) => Object.fromEntries(FIELDS.map((name, place) => [name, values[place]])));
    rows.forEach((row) => { row.prompt = content.prompts[row.prompt]; });
    const form = rows.length ? tool("browser", PAGE, browser(rows)) : null;
    const open = (problem) => {
      if (!form) return;
      [...form.elements].forEach((field) => { field.value = field.type === "search" ? problem : ""; });
      form.dispatchEvent(new Event("input"));
      document.getElementById("rollout-browser").scrollIntoView();
    };
    tool("changes", ROWS, changes(content.changes, open));
  };

  const reload = document.getElementById("reload");
  if (reload) {
    reload.checked = !(memory && memory.getItem("stay"));
    reload.addEventListener("change", () => memory && (reload.checked ? memory.removeItem("stay") : memory.setItem("stay", "1")));
    setInterval(() => { if (reload.checked) location.reload(); }, 1000 * Number(document.body.dataset.reload));
  }
  if (typeof DecompressionStream === "function") start();
})();
