// Before anything else, in words that any browser reads: can this one show the pages? Tested with Chromium 109 and newer.
(function () {
  var root = document.documentElement;
  var can = window.CSS && CSS.supports && CSS.supports("selector(:has(a))") && window.AbortSignal && "timeout" in AbortSignal &&
    "inert" in root && window.WebAssembly && "noModule" in document.createElement("script");
  var going_on = false;
  try {
    going_on = sessionStorage.getItem("zhike-old-browser") === "1";
  } catch (error) {
    going_on = false; // no store: the notice comes on every page
  }
  if (can || going_on) return;
  root.className += " old-browser";
  document.addEventListener("DOMContentLoaded", function () {
    var shown = document.getElementById("old-browser");
    var found = /(?:Chrome|Firefox|Version|MSIE |rv:)[\/ ]?(\d+)/.exec(navigator.userAgent);
    if (!shown) return;
    shown.removeAttribute("hidden");
    document.getElementById("old-browser-version").textContent = found ? found[0].replace("/", " ") : navigator.userAgent.slice(0, 60);
    document.getElementById("old-browser-go").onclick = function () {
      try {
        sessionStorage.setItem("zhike-old-browser", "1");
      } finally {
        root.className = root.className.replace(" old-browser", "");
        shown.setAttribute("hidden", "");
      }
    };
  });
})();
