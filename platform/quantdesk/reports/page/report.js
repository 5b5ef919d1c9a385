// Draws the figures of a report, in the colours of the reader's system, and opens all code at once.
// The page's policy lets this text and plotly.js run, and nothing else; without it the report is still readable.
(function () {
  "use strict";

  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  var still = window.matchMedia("(prefers-reduced-motion: reduce)");
  var holder = document.getElementById("templates");
  var house = holder ? JSON.parse(holder.textContent) : null;

  function ours(layout) {
    var template = layout && layout.template && layout.template.layout;
    return Boolean(template && template.meta === house.mark);
  }

  // Every colour of the light palette becomes its partner; anything else stays.
  function darkened(value) {
    if (typeof value === "string") {
      return house.colours[value.toLowerCase()] || value;
    }
    if (Array.isArray(value)) {
      return value.map(darkened);
    }
    if (value && typeof value === "object") {
      var copy = {};
      Object.keys(value).forEach(function (key) {
        copy[key] = key === "bdata" ? value[key] : darkened(value[key]);
      });
      return copy;
    }
    return value;
  }

  // WebGL charts compile code from text, which the policy forbids: their plain siblings look the same.
  function plain(trace) {
    var siblings = { scattergl: "scatter", heatmapgl: "heatmap", scatterpolargl: "scatterpolar" };
    if (siblings[trace.type]) {
      trace.type = siblings[trace.type];
    }
    return trace;
  }

  // On a narrow screen a legend stands below, where it can grow, and not over the title.
  function lowered(layout, width) {
    var legend = layout.legend || {};
    if (width >= 600 || !layout.showlegend) {
      return;
    }
    if (!("y" in legend)) {
      layout.legend = Object.assign({}, legend, { y: -0.16, yanchor: "top" });
      layout.margin = Object.assign({ t: 72 }, layout.margin);
      layout.margin.t = Math.max(72, layout.margin.t - 36);
    }
    layout.height = layout.height ? layout.height + 60 : layout.height;
  }

  // The line of labels breaks between labels, which two spaces part, and sentences between words.
  function broken(layout, width) {
    var title = layout.title;
    var line = title && title.subtitle && title.subtitle.text;
    var room = Math.max(24, Math.floor(width / 6.6));
    if (typeof line !== "string") {
      return;
    }
    var before = line.split("<br>");
    var lines = [];
    before.forEach(function (text) {
      var mark = text.indexOf("  ") >= 0 ? "  " : " ";
      var own = [""];
      text.split(mark).forEach(function (part) {
        var last = own.length - 1;
        var longer = own[last] ? own[last] + mark + part : part;
        if (longer.length > room && own[last]) {
          own.push(part);
        } else {
          own[last] = longer;
        }
      });
      lines = lines.concat(own);
    });
    if (lines.length > before.length) {
      layout.title = Object.assign({}, title, {
        subtitle: Object.assign({}, title.subtitle, { text: lines.join("<br>") })
      });
      layout.margin = Object.assign({ t: 72 }, layout.margin);
      layout.margin.t += 16 * (lines.length - before.length);
    }
  }

  // A long title breaks into lines on a narrow screen instead of leaving the figure.
  function fitted(layout, width) {
    lowered(layout, width);
    broken(layout, width);
    var title = layout.title;
    var text = title && typeof title === "object" ? title.text : title;
    var room = Math.max(20, Math.floor(width / 9.5));
    if (typeof text !== "string" || text.length <= room || text.indexOf("<") >= 0) {
      return;
    }
    var lines = [""];
    text.split(" ").forEach(function (word) {
      var last = lines.length - 1;
      var longer = lines[last] ? lines[last] + " " + word : word;
      if (longer.length > room && lines[last]) {
        lines.push(word);
      } else {
        lines[last] = longer;
      }
    });
    layout.title = Object.assign({}, typeof title === "object" ? title : {}, { text: lines.join("<br>") });
    layout.margin = Object.assign({ t: 72 }, layout.margin);
    layout.margin.t += 20 * (lines.length - 1);
  }

  function draw(box, figure) {
    var copy = JSON.parse(figure);
    var layout = copy.layout || {};
    var themed = ours(layout);
    if (themed && dark.matches) {
      var height = layout.height;
      delete layout.template;
      copy = { data: darkened(copy.data || []), layout: darkened(layout), frames: copy.frames };
      layout = copy.layout;
      layout.template = house.dark;
      layout.height = height;
    }
    box.classList.toggle("paper", !themed);
    box.classList.toggle("tall", !layout.height);
    delete layout.width;
    fitted(layout, box.clientWidth);
    layout.autosize = true;
    if (still.matches) {
      layout.transition = { duration: 0 };
    }
    var config = { responsive: true, displaylogo: false, showTips: false, plotlyServerURL: "" };
    return window.Plotly.newPlot(box, {
      data: (copy.data || []).map(plain),
      layout: layout,
      frames: copy.frames,
      config: config
    }).catch(function () {
      box.textContent = box.getAttribute("aria-label") + " It cannot be drawn on this page.";
    });
  }

  var figures = Array.prototype.map.call(document.querySelectorAll("script.figure"), function (source) {
    return { box: source.parentNode.querySelector(".drawing"), source: source.textContent };
  });

  function drawAll() {
    document.documentElement.removeAttribute("data-drawn");
    figures
      .reduce(function (before, figure) {
        return before.then(function () {
          return draw(figure.box, figure.source);
        });
      }, Promise.resolve())
      .then(function () {
        document.documentElement.setAttribute("data-drawn", String(figures.length));
      });
  }

  if (house && window.Plotly) {
    drawAll();
    dark.addEventListener("change", drawAll);
  }

  var button = document.getElementById("all-code");
  var codes = document.querySelectorAll("details.code");
  if (button && codes.length) {
    button.hidden = false;
    button.addEventListener("click", function () {
      var open = button.getAttribute("aria-pressed") !== "true";
      codes.forEach(function (code) {
        code.open = open;
      });
      button.setAttribute("aria-pressed", String(open));
      button.textContent = open ? "Hide all code" : "Show all code";
    });
  }

  // On a phone the list of contents starts closed.
  var contents = document.querySelector(".contents details");
  if (contents && window.matchMedia("(max-width: 68rem)").matches) {
    contents.open = false;
  }
})();
