// Completion of the last word in the search box, by the browser's own list. Without this script the box works as well.
document.addEventListener("DOMContentLoaded", () => {
    const offered = document.getElementById("console-completions");
    const box = document.getElementById("searchbar");
    if (!offered || !box) return;

    const words = JSON.parse(offered.textContent);
    const list = document.createElement("datalist");
    list.id = "console-completion-list";
    box.after(list);
    box.setAttribute("list", list.id);
    box.setAttribute("autocomplete", "off");
    box.setAttribute("aria-label", box.placeholder);

    const complete = () => {
        const [, before, begun] = /^([\s\S]*?)(\S*)$/.exec(box.value);
        const fitting = words.filter((word) => word !== begun && word.startsWith(begun));
        list.replaceChildren(...fitting.slice(0, 30).map((word) => {
            const option = document.createElement("option");
            option.value = before + word;
            option.label = word;
            return option;
        }));
    };
    box.addEventListener("input", complete);
    box.addEventListener("focus", complete);
});
