// The theme hides every page until its own script runs, and the browser puts the cursor into no field that it does not
// show: on a slow day the field that a page begins with is passed over, and then has to be found.
document.addEventListener("alpine:initialized", () => {
    // A moment later, when the page is shown.
    setTimeout(() => {
        if (document.activeElement === document.body) document.querySelector("[autofocus]")?.focus();
    });
});
