// The page "Explore the records": all runs in a table (DataTables), the curves of one or two of them (Plotly).
// records.js, made of the records when the book is built, has set RECORDS.
(() => {
  const { columns, fields, curves, example } = RECORDS;
  const MOST = 2; // runs beside each other
  const [runs, shown] = document.querySelectorAll(".explore");
  const heading = document.querySelector("#the-chosen-runs h2");
  const get = (name, row) => (columns[name].of ? columns[name].of[columns[name].at[row]] : columns[name][row]);
  const places = new Map(columns.hash.map((hash, row) => [hash, row]));
  let chosen = []; // rows, in the order in which they were chosen
  let plotly; // the promise of Plotly, which is loaded when the first curve is asked for

  const make = (tag, attributes = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), attributes);
    element.append(...children);
    return element;
  };
  const iterations = row => get("iterations", row)
    ?? (get("status", row) === "finished" ? `none in ${get("most", row)}` : get("status", row));
  const title = row => [get("task", row), get("model", row), get("regularizer", row), get("settings", row)]
    .filter(Boolean).join(", ") + `, pair ${get("pair", row)}`;

  // ---- the table

  // name, value of a row, options of DataTables
  const HEAD = [
    ["compare", row => row, { orderable: false, searchable: false, type: "string" }],
    ["record", row => get("hash", row)],
    ["task", row => get("task", row)],
    ["model", row => get("model", row)],
    ["regulariser", row => get("regularizer", row)],
    ["iterations", row => get("iterations", row)],
    ["last loss", row => get("loss", row)],
    ["pair", row => get("pair", row)],
    ["other settings", row => get("settings", row)],
    ["seconds", row => get("seconds", row)],
  ];
  const number = pair => pair.split("/").reduce((sum, part) => 1e6 * sum + Number(part), 0); // 2/10 before 10/2
  const RENDER = {
    compare: (row, type) => (type !== "display" ? row
      : `<input type="checkbox" data-row="${row}" aria-label="Compare ${get("hash", row)}"${chosen.includes(row) ? " checked" : ""}>`),
    record: (hash, type) => (type === "display" ? `<a href="#${hash}">${hash}</a>` : hash),
    pair: (pair, type) => (type === "sort" ? number(pair) : pair),
    iterations: (count, type, [row]) => (type === "sort" || type === "type" ? count ?? Infinity : iterations(row)),
  };

  const buildTable = () => {
    const table = make("table", { id: "runs", className: "display" });
    table.append(make("caption", { className: "visually-hidden", textContent: "All recorded runs" }));
    runs.append(table);
    const api = new DataTable(table, {
      data: columns.hash.map((_, row) => HEAD.map(([, value]) => value(row))),
      columns: HEAD.map(([name, , more]) => ({ title: name, render: RENDER[name], ...more })),
      order: [],
      pageLength: 10,
      lengthMenu: [10, 25, 100],
      autoWidth: false,
      layout: { topStart: "pageLength", topEnd: "search", bottomStart: "info", bottomEnd: "paging" },
      language: {
        search: "Search in all columns: ",
        lengthMenu: "_MENU_ runs a page",
        info: "Runs _START_ to _END_ of _TOTAL_",
        infoEmpty: "No runs",
        infoFiltered: "(of all _MAX_)",
        zeroRecords: "No run is like that.",
      },
    });
    const filters = runs.querySelector(".filters");
    for (const [at, name, column] of [[2, "task", "task"], [3, "model", "model"], [4, "regulariser", "regularizer"]]) {
      const select = make("select", {}, make("option", { value: "", textContent: "all" }));
      select.append(...[...columns[column].of].sort().map(word => make("option", { value: word, textContent: word })));
      select.addEventListener("change", () => api.column(at).search(select.value, { exact: Boolean(select.value) }).draw());
      select.id = `explore-${column}`;
      filters.append(make("span", {}, make("label", { htmlFor: select.id, textContent: name }), " ", select));
    }
    const reset = make("button", { type: "button", textContent: "Show all runs" });
    reset.addEventListener("click", () => {
      filters.querySelectorAll("select").forEach(select => { select.value = ""; });
      api.search("").columns().search("").order([]).draw();
    });
    filters.append(reset);
    table.addEventListener("change", event => {
      if (!event.target.matches("input[data-row]")) return;
      const row = Number(event.target.dataset.row);
      const others = chosen.filter(other => other !== row);
      choose(event.target.checked ? [...others, row].slice(-MOST) : others);
    });
    api.on("draw", mark);
    // DataTables marks its clicks so that the script of the theme's copy buttons takes them for its own.
    runs.addEventListener("click", event => event.stopPropagation());
  };
  const mark = () => runs.querySelectorAll("input[data-row]").forEach(box => {
    box.checked = chosen.includes(Number(box.dataset.row));
  });

  // ---- the curves

  const COLOURS = { light: ["#0173b2", "#a84d00"], dark: ["#56b4e9", "#ffb000"] };
  const PANELS = [
    ["loss", "loss (nats per token)", "step", "log"],
    ["h0", "mean H0 lifespan (distance)", "at", "linear"],
    ["h1", "loops: H1 features", "at", "linear"],
    ["entropy", "persistence entropy (nats)", "at", "linear"],
  ];
  const load = () => plotly ??= new Promise((done, failed) => {
    const script = make("script", { src: `${shown.dataset.lib}/plotly-basic.min.js`, onload: () => done(window.Plotly), onerror: failed });
    document.head.append(script);
  });

  const draw = async () => {
    const figure = shown.querySelector(".curves");
    figure.hidden = !chosen.length;
    if (!chosen.length) return;
    const Plotly = await load();
    const style = getComputedStyle(document.documentElement);
    const dark = document.documentElement.dataset.theme === "dark";
    const text = style.getPropertyValue("--pst-color-text-base").trim();
    const line = style.getPropertyValue("--pst-color-border").trim();
    const narrow = figure.clientWidth < 600;
    const down = narrow ? PANELS.length : PANELS.length / 2;
    const traces = PANELS.flatMap(([name, , x], panel) => chosen.map((row, place) => ({
      x: curves[row][x],
      y: curves[row][name],
      name: get("hash", row),
      xaxis: `x${panel + 1}`,
      yaxis: `y${panel + 1}`,
      mode: curves[row][x].length > 20 ? "lines" : "lines+markers",
      line: { color: COLOURS[dark ? "dark" : "light"][place], dash: place ? "dash" : "solid" },
      marker: { symbol: place ? "diamond" : "circle" },
      legendgroup: place,
      showlegend: panel === 0,
    })));
    const layout = {
      grid: { rows: down, columns: narrow ? 1 : 2, pattern: "independent", ygap: narrow ? 0.35 : 0.3, xgap: 0.15 },
      height: 260 * down,
      margin: { l: 60, r: 10, t: 50, b: 45 },
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { color: text, size: 13 },
      legend: { orientation: "h", yref: "container", y: 1, yanchor: "top", x: 0 },
      hovermode: "x unified",
      hoverlabel: { bgcolor: style.getPropertyValue("--pst-color-surface").trim() },
      annotations: [],
    };
    PANELS.forEach(([, name, , type], panel) => {
      layout[`xaxis${panel + 1}`] = { title: { text: "optimiser step", standoff: 5 }, gridcolor: line, zeroline: false, rangemode: "tozero" };
      layout[`yaxis${panel + 1}`] = { title: { text: name, standoff: 5 }, type, gridcolor: line, zeroline: false, exponentformat: "power" };
    });
    await Plotly.react(figure, traces, layout, { responsive: true, displaylogo: false });
    figure.setAttribute("aria-label", chosen.map(describe).join(" "));
  };
  const describe = row => {
    const { loss, step } = curves[row];
    return `Curves of ${title(row)}: loss from ${loss[0]} to ${loss.at(-1)} in ${step.at(-1)} steps.`;
  };

  // ---- what is said of the chosen runs

  const facts = row => [
    ["iterations to correct", iterations(row)],
    ["iterations to a correct answer", get("answer", row) ?? "not seen"],
    ["last loss", get("loss", row)],
    ["steps", get("steps", row)],
    ["seconds", get("seconds", row)],
    ["made on", `${get("machine", row)}, ${get("threads", row)} thread${get("threads", row) === 1 ? "" : "s"}`],
  ];
  const cells = (tag, words) => words.map(word => make(tag, { textContent: word ?? "" }));
  const tell = () => {
    const said = shown.querySelector(".said");
    said.replaceChildren();
    shown.querySelector(".status").textContent = chosen.length
      ? `${chosen.map(title).join(" against ")}.` : "No run is chosen.";
    if (!chosen.length) return;
    const differ = Object.entries(fields)
      .map(([name, { of, at }]) => [name, ...chosen.map(row => of[at[row]])])
      .filter(([, one, other]) => chosen.length === 1 || one !== other);
    const results = facts(chosen[0]).map(([name], place) => [name, ...chosen.map(row => facts(row)[place][1])]);
    const head = make("tr", {}, ...cells("th", [chosen.length > 1 ? "what differs" : "setting", ...chosen.map(row => get("hash", row))]));
    head.querySelectorAll("th").forEach(cell => { cell.scope = "col"; });
    const rows = [...differ, ...results].map(([name, ...words]) => {
      const header = make("th", { textContent: name, scope: "row" });
      return make("tr", {}, header, ...cells("td", words));
    });
    said.append(make("div", { className: "scrolls", tabIndex: 0, role: "region", ariaLabel: "Settings and results" },
      make("table", { className: "table" }, make("thead", {}, head), make("tbody", {}, ...rows))));
    const commands = chosen.map(row => `python -m tslib rerun ${get("hash", row)}`).join("\n");
    said.append(make("p", { textContent: "Made again, and compared with the record:" }),
      make("pre", { tabIndex: 0 }, make("code", { textContent: commands })),
      make("p", {}, "Kept in ", ...chosen.flatMap((row, place) => [place ? " and " : "",
        make("code", { textContent: `data/results/${get("folder", row)}_${get("hash", row)}` })]), "."));
  };

  // ---- the choice, which the page's address carries: explore.html#HASH, or #HASH+HASH

  const choose = rows => {
    chosen = rows;
    history.replaceState(null, "", `#${rows.map(row => get("hash", row)).join("+")}`);
    mark();
    tell();
    draw();
  };
  const fromAddress = () => {
    const rows = decodeURIComponent(location.hash.slice(1)).split("+").map(hash => places.get(hash));
    return rows.filter(row => row !== undefined).slice(0, MOST);
  };
  const follow = () => {
    const rows = fromAddress();
    if (!rows.length) return;
    choose(rows);
    heading.scrollIntoView();
    heading.focus({ preventScroll: true });
  };

  heading.tabIndex = -1; // for whoever follows a link to a run
  runs.querySelector(".waiting").remove();
  buildTable();
  shown.querySelector(".example").href = `#${example.join("+")}`;
  window.addEventListener("hashchange", follow);
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  let width = shown.clientWidth;
  window.addEventListener("resize", () => {
    if ((shown.clientWidth < 600) !== (width < 600)) draw();
    width = shown.clientWidth;
  });
  tell();
  follow();
})();
