// The search reads a leading "-" as "without". Flags are written with dashes, so what it reads has none in front.
addEventListener("DOMContentLoaded", () => {
  const input = document.querySelector("input[data-md-component=search-query]");
  const field = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value");
  if (input) Object.defineProperty(input, "value", {
    configurable: true,
    get() { return field.get.call(this).replace(/(^|\s)-+(?=\w)/g, "$1"); },
    set(text) { field.set.call(this, text); },
  });
});
