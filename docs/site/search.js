// SPDX-License-Identifier: Apache-2.0
// Finds pages, headings, ops and declarations by name. The list of them is in index.js, as [title, where, address].
(() => {
  const side = document.querySelector(".side"), box = document.querySelector(".search");
  const list = document.querySelector("#found"), root = document.documentElement.dataset.root;
  document.querySelector(".menu").addEventListener("click", () => side.classList.toggle("open"));
  const score = (title, words) => {
    let sum = 0;
    for (const word of words) {
      const at = title.indexOf(word);
      if (at < 0) return -1;
      sum += (at === 0 ? 0 : 2) + title.length / 40;
    }
    return sum;
  };
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    list.replaceChildren();
    if (!words.length) return;
    const hits = window.foveaIndex.map(entry => [score(entry[0].toLowerCase(), words), entry])
      .filter(hit => hit[0] >= 0).sort((a, b) => a[0] - b[0]).slice(0, 14);
    for (const [, [title, where, address]] of hits) {
      const item = document.createElement("li"), link = document.createElement("a");
      const note = document.createElement("small");
      link.href = root + address;
      link.textContent = title;
      note.textContent = where;
      link.append(note);
      item.append(link);
      list.append(item);
    }
  });
  box.addEventListener("keydown", event => {
    if (event.key === "Enter" && list.querySelector("a")) list.querySelector("a").click();
  });
})();
