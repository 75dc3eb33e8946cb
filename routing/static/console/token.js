// Reloading would send the form once more and make a second token; let it show the first one's page.
history.replaceState(null, "", document.currentScript.dataset.page);
const token = document.getElementById("token");
const copy = document.getElementById("copy");
token.addEventListener("focus", () => token.select());
copy.addEventListener("click", () => {
    // The clipboard API is there over HTTPS only.
    token.select();
    document.execCommand("copy");
    copy.textContent = copy.dataset.done;
});
