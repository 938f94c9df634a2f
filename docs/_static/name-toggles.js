// The theme's sidebar opens a part of the tree by a toggle that has no name: give it that of its page.
document.addEventListener("DOMContentLoaded", () => {
  for (const toggle of document.querySelectorAll("li.has-children > details > summary")) {
    const link = toggle.closest("li").querySelector("a");
    toggle.setAttribute("aria-label", `Pages below ${link ? link.textContent.trim() : "this one"}`);
  }
});
