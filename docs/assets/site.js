// What the theme adds to a page after it was loaded gets what a screen reader and a keyboard need.
// In a block, because other scripts of the page have names too.
{
  const improve = () => {
    for (const bar of document.querySelectorAll("nav.md-code__nav:not([role])")) {
      bar.setAttribute("role", "none") // as a landmark each would need a name of its own
    }
    fitTables()
    for (const box of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) {
      if (box.scrollWidth > box.clientWidth) {
        box.tabIndex = 0
      }
    }
  }

  // A table that does not fit becomes a list: each row a block, each cell below the heading of its column.
  const fitTables = () => {
    for (const table of document.querySelectorAll(".md-typeset table:not([class])")) {
      label(table)
      const box = table.closest(".md-typeset__scrollwrap") ?? table.parentElement
      table.removeAttribute("data-stacked")
      if (box.scrollWidth > box.clientWidth || table.scrollWidth > table.clientWidth) {
        table.setAttribute("data-stacked", "")
        for (const code of table.querySelectorAll("[data-whole]")) {
          code.dataset.whole = "yes"
          code.dataset.whole = code.offsetWidth > code.closest("td").clientWidth ? "no" : "yes"
        }
      }
    }
  }

  // An identifier stays in one line. Only one that is longer than a line may break, after one of its signs.
  const label = (table) => {
    if (table.hasAttribute("role")) {
      return
    }
    table.setAttribute("role", "table") // a table that is shown as blocks would not be one for a screen reader
    const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent.trim())
    for (const row of table.rows) {
      row.setAttribute("role", "row")
      for (const cell of row.cells) {
        cell.setAttribute("role", cell.tagName === "TH" ? "columnheader" : "cell")
        cell.dataset.label = heads[cell.cellIndex] ?? ""
      }
    }
    for (const code of table.querySelectorAll("td code")) {
      if (code.childElementCount || /\s/.test(code.textContent)) {
        continue
      }
      const parts = code.textContent.split(/(?<=[_./:=@?&,-])(?=\w)/)
      code.replaceChildren(...parts.flatMap((part, place) => (place ? [document.createElement("wbr"), part] : [part])))
      code.dataset.whole = "yes"
    }
  }

  new MutationObserver(improve).observe(document.body, { childList: true, subtree: true })
  addEventListener("resize", improve)
  addEventListener("change", improve, true) // of a tab: what it hides has no width
  addEventListener("toggle", improve, true)
  improve()
}
