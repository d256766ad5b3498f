// A formula that scrolls within its line can be reached with the keyboard.
const reachScrollingFormulas = () => {
  for (const formula of document.querySelectorAll("mjx-container")) {
    const scrolls = formula.scrollWidth > formula.clientWidth || formula.scrollHeight > formula.clientHeight;
    if (scrolls && getComputedStyle(formula).display !== "inline") formula.tabIndex = 0;
  }
};
window.addEventListener("load", () => window.MathJax?.startup?.promise.then(reachScrollingFormulas));
window.addEventListener("resize", reachScrollingFormulas);
