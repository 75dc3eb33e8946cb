// Brings the start page up to date in place. Without this script the page loads itself anew, less often.
document.addEventListener("DOMContentLoaded", () => {
    const page = document.getElementById("console-overview");
    const stale = document.getElementById("console-stale");
    const news = document.getElementById("console-news");
    if (!page) return;

    const sentence = () => page.querySelector(".console-verdict-sentence")?.textContent.trim();
    const isSelecting = () => {
        const chosen = document.getSelection();
        return chosen && !chosen.isCollapsed && page.contains(chosen.anchorNode);
    };

    // Whoever goes through the page by keyboard stays where they are.
    const show = (html) => {
        const before = sentence();
        const links = () => [...page.querySelectorAll("a")];
        const held = links().indexOf(document.activeElement);
        const address = held >= 0 ? document.activeElement.getAttribute("href") : null;
        page.innerHTML = html;
        if (held >= 0) {
            const same = links().find((link) => link.getAttribute("href") === address) || links()[held];
            same?.focus({ preventScroll: true });
        }
        if (sentence() !== before) news.textContent = sentence();
    };

    const refresh = async () => {
        if (document.hidden || isSelecting()) return;
        try {
            const answer = await fetch(page.dataset.refresh, { cache: "no-store", redirect: "manual" });
            // Signed out meanwhile: the page itself leads to the way in.
            if (answer.type === "opaqueredirect" || answer.status === 403) return void location.reload();
            if (!answer.ok) throw new Error(answer.status);
            show(await answer.text());
            stale.hidden = true;
        } catch {
            stale.hidden = false;
        }
    };

    const again = () => setTimeout(async () => { await refresh(); again(); }, page.dataset.every * 1000);
    again();
    document.addEventListener("visibilitychange", refresh);
});
