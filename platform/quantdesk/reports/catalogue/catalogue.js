// Filters the index by words. Without it everything is shown, and the radio buttons still filter by view.
(function () {
  "use strict";

  var box = document.getElementById("search");
  var rows = Array.prototype.slice.call(document.querySelectorAll("tr[data-view]"));
  var count = document.getElementById("count");
  var nothing = document.getElementById("nothing");
  var texts = rows.map(function (row) { return row.textContent.toLowerCase(); });

  function chosen() {
    var radio = document.querySelector("input[name=view]:checked");
    return radio && radio.value !== "on" ? radio.value : "";
  }

  function filter() {
    var words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    var view = chosen();
    var shown = 0;
    rows.forEach(function (row, place) {
      var fits = words.every(function (word) { return texts[place].indexOf(word) >= 0; });
      row.hidden = !fits;
      if (fits && (!view || row.getAttribute("data-view") === view)) { shown += 1; }
    });
    count.textContent = shown + " of " + rows.length + " features";
    nothing.hidden = shown > 0;
  }

  box.addEventListener("input", filter);
  Array.prototype.forEach.call(document.querySelectorAll("input[name=view]"), function (radio) {
    radio.addEventListener("change", filter);
  });
  document.getElementById("clear").addEventListener("click", function () {
    box.value = "";
    document.getElementById("view-0").checked = true;
    filter();
    box.focus();
  });
  document.addEventListener("keydown", function (event) {
    var typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && event.target.type !== "radio";
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      box.focus();
    } else if (event.key === "Escape" && event.target === box) {
      box.value = "";
      filter();
    }
  });
  box.parentNode.hidden = false;
  filter();
})();
