// The only script of a page: a button on each command and text that copies it.
for (const button of document.querySelectorAll(".copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const label = button.dataset.label ??= button.textContent;
    const text = button.nextElementSibling;
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "✓";
    } catch {
      getSelection().selectAllChildren(text);
      button.textContent = "Ctrl+C";
    }
    setTimeout(() => { button.textContent = label; }, 1500);
  });
}
