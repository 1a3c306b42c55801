"use strict";
// Moves the score threshold: numbers, curves' mark and slider. The address "#score=0.3" starts at another one.
(() => {
  const data = JSON.parse(document.getElementById("threshold-data").textContent);
  const slider = document.getElementById("threshold");
  const mark = document.getElementById("threshold-mark");
  const rows = document.querySelectorAll("#threshold-table tbody tr");
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const share = (part, whole) => (whole ? (part / whole).toFixed(4) : "-");

  function show() {
    const step = Number(slider.value);
    document.getElementById("threshold-value").textContent = (step / 100).toFixed(2);
    mark.setAttribute("transform", `translate(${Number(mark.dataset.left) + (mark.dataset.width * step) / 100})`);
    for (const row of rows) {
      const index = Number(row.dataset.class);
      const pick = (counts) => (index < 0 ? sum(counts) : counts[index]);
      const right = pick(data.right.map((counts) => counts[step]));
      const wrong = pick(data.wrong.map((counts) => counts[step]));
      const wanted = pick(data.wanted);
      const values = {
        precision: share(right, right + wrong),
        recall: share(right, wanted),
        F1: share(2 * right, right + wrong + wanted),
        right: right,
        wrong: wrong,
        missed: wanted - right,
      };
      for (const cell of row.querySelectorAll("td")) cell.textContent = values[cell.dataset.column];
    }
  }

  function fromAddress() {
    const found = /score=([0-9.]+)/.exec(location.hash);
    if (!found) return;
    slider.value = Math.round(100 * Number(found[1]));
    slider.dispatchEvent(new Event("input"));
  }

  slider.addEventListener("input", show);
  window.addEventListener("hashchange", fromAddress);
  // A browser that goes back to the page may have kept the slider where it was.
  show();
  fromAddress();
})();
