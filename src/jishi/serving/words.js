function say(word, values) { return WORDS[state.language][word].replace(/\{(\w+)\}/g, (_, name) => values[name]); }
function make(tag, kind, text) {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  if (text !== undefined) element.textContent = text;
  return element;
}
function percent(share) { return (share * 100).toFixed(share > 0.9995 || share < 0.0005 ? 0 : 1) + "%"; }
