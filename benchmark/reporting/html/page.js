"use strict";
// The board: choosing a network, data set, attack and rate, sorting, what stands behind a cell, moving by arrow keys.
// Without this script all tables stand one below the other. Texts go into the page as text alone.
(() => {
  document.documentElement.classList.add("scripted");
  reveal();
  window.addEventListener("hashchange", reveal);

  const board = document.getElementById("board");
  if (!board) return;
  const cells = JSON.parse(document.getElementById("board-data").textContent);
  const links = [...board.querySelectorAll("a[data-cell]")];
  const tip = document.createElement("div");
  let current = null;  // the cell that it is of
  tip.id = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.body.append(tip);

  for (const control of board.querySelectorAll("select")) control.addEventListener("change", choose);
  const beside = board.querySelector("input[type=checkbox]");
  if (beside) beside.addEventListener("change", () => board.classList.toggle("with-published", beside.checked));
  for (const button of board.querySelectorAll("th button")) button.addEventListener("click", () => sort(button));
  for (const link of links) {
    link.addEventListener("mouseenter", () => show(link));
    link.addEventListener("mouseleave", hide);
    link.addEventListener("focus", () => { show(link); sole(link); });
    link.addEventListener("blur", hide);
    link.addEventListener("keydown", (event) => move(event, link));
  }
  window.addEventListener("scroll", () => { if (current) place(current); }, { passive: true, capture: true });
  choose();

  // What a link leads to is opened, where it can be opened.
  function reveal() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    if (target) target.scrollIntoView();
  }

  function choose() {
    const chosen = {};
    for (const control of board.querySelectorAll("select")) chosen[control.name] = control.value;
    for (const matrix of board.querySelectorAll(".matrix")) {
      matrix.hidden = "network" in chosen && matrix.dataset.network !== chosen.network;
      let shown = 0;
      for (const row of matrix.querySelectorAll("tbody tr")) {
        row.hidden = ["dataset", "attack", "rate"].some((name) => chosen[name] && row.dataset[name] !== chosen[name]);
        shown += !row.hidden;
      }
      matrix.querySelector(".nothing").hidden = shown > 0;
    }
    for (const table of board.querySelectorAll("table")) sole(visible(table)[0]);
    hide();
  }

  function sort(button) {
    const heading = button.closest("th"), table = heading.closest("table"), body = table.tBodies[0];
    const column = heading.cellIndex, before = heading.getAttribute("aria-sort");
    const order = before === "ascending" ? "descending" : "ascending";
    for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const value = (row) => row.cells[column].dataset.value;
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
      return sign * (Number(x) - Number(y));
    });
    body.append(...rows);
    sole(visible(table)[0]);
  }

  function visible(table) {
    return [...table.querySelectorAll("a[data-cell]")].filter((link) => !link.closest("[hidden]"));
  }

  // One cell of each table is in the order of the tab key; the arrows go on from there.
  function sole(link) {
    if (!link) return;
    for (const other of link.closest("table").querySelectorAll("a[data-cell]")) other.tabIndex = other === link ? 0 : -1;
  }

  function move(event, link) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (event.key === "Escape") hide();
    if (!step) return;
    event.preventDefault();
    const cell = link.closest("td"), rows = [...cell.closest("tbody").rows].filter((row) => !row.hidden);
    let row = rows.indexOf(cell.parentElement), column = cell.cellIndex;
    for (;;) {
      row += step[0];
      column += step[1];
      const next = rows[row] && rows[row].cells[column];
      if (!next) return;
      const found = next.querySelector("a[data-cell]");
      if (found) return found.focus();
    }
  }

  function show(link) {
    tip.replaceChildren(...lines(cells[Number(link.dataset.cell)]).map((text, number) => {
      const line = document.createElement(number ? "div" : "strong");
      line.textContent = text;
      return line;
    }));
    tip.hidden = false;
    current = link;
    link.setAttribute("aria-describedby", "tip");
    place(link);
  }

  // Below the cell, or above it where there is no room; never beyond the window.
  function place(link) {
    const box = link.closest("td").getBoundingClientRect(), size = tip.getBoundingClientRect();
    const left = Math.min(Math.max(box.left, 8), document.documentElement.clientWidth - size.width - 8);
    const below = box.bottom + 6 + size.height < window.innerHeight;
    tip.style.left = Math.max(left, 8) + "px";
    tip.style.top = (below ? box.bottom + 6 : Math.max(box.top - size.height - 6, 8)) + "px";
  }

  function hide() {
    tip.hidden = true;
    current = null;
  }

  function lines(cell) {
    const text = [cell.attack + " at " + cell.rate + ", " + cell.dataset + ": " + cell.method +
      (cell.options ? " (" + cell.options + ")" : "")];
    const add = (title, value, unit) => { if (value) text.push(title + " " + interval(value) + unit); };
    if (cell.kind === "repair") {
      if (cell.before_asr) text.push("ASR before " + number(cell.before_asr[0]) + " %");
      add(cell.before_asr ? "ASR left" : "ASR", cell.asr, " %");
      add(cell.before_asr ? "BA after" : "BA", cell.ba, " %");
      add("BA lost", cell.ba_lost, " points");
      add("ASR that plain fine-tuning leaves", cell.control_asr, " %");
      add("BA lost on the clean twin", cell.twin_ba_lost, " points");
      add("DER", cell.der, "");
    } else {
      add("poisoned rows found at 1 % false positives", cell.tpr_at_1, " %");
      add("at 5 %", cell.tpr_at_5, " %");
      if (cell.auroc) text.push("AUROC " + (cell.auroc[0] / 100).toFixed(3));
      add("its own cut finds", cell.recall, " %");
      add("and flags of the clean rows", cell.false_alarms, " %");
      add("covers above the cut at 1 %", cell.covers_at_1, " %");
      add("of the clean twin it flags", cell.twin_flagged, " %");
    }
    const over = { seeds: "95 % intervals over the seeds", images: "95 % interval over the rows" }[cell.interval_over];
    text.push((cell.seeds === 1 ? "1 seed" : cell.seeds + " seeds") + (over ? "; " + over : "; no interval"));
    for (const one of cell.published || []) {
      text.push(one.source + ": ASR " + number(one.asr) + (one.ba === null ? "" : ", BA " + number(one.ba)) +
        (one.other ? " (other settings: " + one.other + ")" : ""));
    }
    return text;
  }

  function interval(value) {
    return number(value[0]) + (value[1] === null ? "" : " [" + number(value[1]) + ", " + number(value[2]) + "]");
  }

  function number(value) {
    return value.toFixed(1).replace("-", "−");
  }
})();
