// The slider: a photo over its sharp view, divided where the range input stands.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const choice = byId("choice"), stage = byId("stage"), divider = byId("divider");
  if (!choice || choice.options.length === 0) return;
  document.documentElement.classList.add("script");

  const card = (number) => document.querySelector(`.card[data-number="${Number(number)}"]`);
  const show = () => {
    const shown = card(choice.value);
    const against = document.querySelector('input[name="against"]:checked').value;
    const before = shown.querySelector("img.photo");
    const after = shown.querySelector(`img.${against}`) || shown.querySelector("img.sharp");
    for (const [target, source] of [[byId("before"), before], [byId("after"), after]]) {
      target.src = source.src;
      target.alt = source.alt;
      target.hidden = false;
    }
    stage.style.aspectRatio = `${before.width} / ${before.height}`;
    stage.style.setProperty("--shape", before.getAttribute("width") / before.getAttribute("height"));
    byId("right-tag").textContent = against === "coc" ? "circle of confusion" : "sharp";
    stage.style.maxWidth = `${4 * before.getAttribute("width")}px`;
    const told = ["strong", ".badge", ".details"].map((part) => shown.querySelector(`figcaption ${part}`));
    byId("stage-caption").textContent = told.filter(Boolean).map((part) => part.textContent).join(" · ");
  };
  const divide = () => {
    stage.style.setProperty("--at", `${divider.value}%`);
    divider.setAttribute("aria-valuetext", `${Math.round(divider.value)} % photo`);
  };
  const step = (by) => {
    const count = choice.options.length;
    choice.selectedIndex = (choice.selectedIndex + by + count) % count;
    show();
  };

  choice.addEventListener("change", show);
  divider.addEventListener("input", divide);
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  document.querySelectorAll('input[name="against"]').forEach((radio) => radio.addEventListener("change", show));
  document.querySelectorAll(".card").forEach((each) => each.addEventListener("click", () => {
    const option = [...choice.options].find((candidate) => candidate.value === each.dataset.number);
    if (option) { choice.value = option.value; show(); }
  }));
  show();
  divide();
})();
